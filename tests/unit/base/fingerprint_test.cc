#include "bitlaw/base/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitlaw {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr std::string_view kHost = "bitlaw_fingerprint__api_1__torch_1_13_1__abi_1__cc_gcc12__std_202002L__stl_gnu__san_none";

TEST(Fingerprint, SplitsIntoItsFields) {
  EXPECT_THAT(ParseFingerprint(kHost), ElementsAre(Pair("api", "1"), Pair("torch", "1.13.1"), Pair("abi", "1"),
                                                   Pair("cc", "gcc12"), Pair("std", "202002L"), Pair("stl", "gnu"),
                                                   Pair("san", "none")));
}

TEST(Fingerprint, OfThisBuildHasSevenFields) {
  std::vector<std::string> names;
  for (const auto& [name, value] : ParseFingerprint(OwnFingerprint())) {
    names.push_back(name);
    EXPECT_NE(value, "");
    EXPECT_THAT(value, testing::Not(testing::HasSubstr("BITLAW")));  // A macro that was not expanded.
  }
  EXPECT_THAT(names, ElementsAre("api", "torch", "abi", "cc", "std", "stl", "san"));
}

TEST(Fingerprint, IsEmptyForAnotherSymbol) {
  EXPECT_THAT(ParseFingerprint("bitlaw_plugin_manifest"), IsEmpty());
  EXPECT_THAT(ParseFingerprint("bitlaw_fingerprint__nonsense"), IsEmpty());
  EXPECT_THAT(ParseFingerprint(""), IsEmpty());
}

TEST(Fingerprint, FitsItself) { EXPECT_EQ(ExplainMismatch(kHost, kHost), ""); }

TEST(Fingerprint, OfAPluginWithoutTorchFitsAnyTorchButNotTheOtherWayRound) {
  const std::string_view plain = "bitlaw_fingerprint__api_1__torch_none__abi_1__cc_gcc12__std_202002L__stl_gnu__san_none";
  EXPECT_EQ(ExplainMismatch(kHost, plain), "");
  EXPECT_EQ(ExplainMismatch(plain, kHost), "  libtorch version: plugin 1.13.1, bitlaw none");
}

TEST(Fingerprint, MismatchListsEveryDifferingField) {
  EXPECT_EQ(ExplainMismatch(kHost, "bitlaw_fingerprint__api_2__torch_2_7_1__abi_0__cc_clang17__std_201703L__stl_gnu_debug__san_asan"),
            "  plugin API epoch: plugin 2, bitlaw 1\n"
            "  libtorch version: plugin 2.7.1, bitlaw 1.13.1\n"
            "  C++11 string ABI: plugin 0, bitlaw 1\n"
            "  compiler: plugin clang17, bitlaw gcc12\n"
            "  C++ standard: plugin 201703L, bitlaw 202002L\n"
            "  standard library: plugin gnu.debug, bitlaw gnu\n"
            "  sanitizer: plugin asan, bitlaw none");
}

TEST(Fingerprint, MismatchNamesAFieldThatIsNotStated) {
  EXPECT_EQ(ExplainMismatch(kHost, "bitlaw_fingerprint__api_1__torch_none__abi_1__cc_gcc12__std_202002L__stl_gnu"),
            "  sanitizer: plugin (not stated), bitlaw none");
}

}  // namespace
}  // namespace bitlaw
