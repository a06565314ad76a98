#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "spec/decoder.h"

namespace bitlaw {
namespace {

TEST(SpecReference, MentionsEveryKeyThatTheDecoderKnows) {
  std::ifstream file(BITLAW_SOURCE_DIR "/docs/spec.md");
  ASSERT_TRUE(file) << "docs/spec.md is missing";
  std::ostringstream text;
  text << file.rdbuf();
  for (const auto& [kind, keys] : SpecKeys()) {
    for (const std::string& key : keys) {
      EXPECT_NE(text.str().find("`" + key + "`"), std::string::npos) << "the key '" << key << "' of a " << kind;
    }
  }
}

}  // namespace
}  // namespace bitlaw
