// A plugin built against other headers must be refused by its fingerprint, not crash: whoever changes a public header is
// reminded of the epoch.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/fingerprint.h"
#include "conformance/include_rules.h"

namespace bitlaw {
namespace {

constexpr int kEpoch = 9;
constexpr const char* kDigest =
    "099cc159fb61bfcd1ac190830a93cf189dfbed67a29ddee17c458de9fb797232";

// What the compiler sees of the public headers: without comments and space.
std::string DigestOfPublicHeaders(const SourceTree& sources) {
  static const std::regex ignored("//[^\n]*|/\\*[^*]*\\*/|\\s+");
  std::string all;
  for (const auto& [path, text] : sources) {
    if (!path.starts_with("framework/include/")) continue;
    all += path + "\n" + std::regex_replace(text, ignored, "") + "\n";
  }
  return DigestOf(all);
}

TEST(ApiEpoch, IsRaisedWhenPublicHeadersChange) {
  const SourceTree sources = ReadSources(BITLAW_SOURCE_DIR);
  ASSERT_TRUE(sources.contains("framework/include/bitlaw/api/model.h"));
  const std::string digest = DigestOfPublicHeaders(sources);
  EXPECT_TRUE(BITLAW_API_EPOCH == kEpoch && digest == kDigest)
      << "The public headers are not those of epoch " << kEpoch << ".\nIf a plugin built before does not fit any more (a "
      << "class, its members or its virtual functions changed), raise BITLAW_API_EPOCH in base/fingerprint.h. Then write here:\n"
      << "  kEpoch = " << BITLAW_API_EPOCH << ", kDigest = \"" << digest << "\"";
}

TEST(ApiEpoch, CommentsAndSpaceDoNotCount) {
  const SourceTree one = {{"framework/include/a.h", "int a;  // one\n"}}, same = {{"framework/include/a.h", "int a; // two\n\n"}},
                   other = {{"framework/include/a.h", "int b;  // one\n"}};
  EXPECT_EQ(DigestOfPublicHeaders(one), DigestOfPublicHeaders(same));
  EXPECT_NE(DigestOfPublicHeaders(one), DigestOfPublicHeaders(other));
}

}  // namespace
}  // namespace bitlaw
