#include "bitlaw/sdk/checkpoint/packed_codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

TEST(PackedCodes, PutTheFirstCodeInTheLowestBits) {
  // 3 bits: 5 = 101, 1 = 001, 7 = 111 -> bits 101 100 111 from low to high: 0b11001101, 0b1.
  EXPECT_THAT(PackCodes(std::vector<uint8_t>{5, 1, 7}, 3), testing::ElementsAre(0b11001101, 0b1));
  EXPECT_THAT(PackCodes(std::vector<uint8_t>{0xA, 0x3}, 4), testing::ElementsAre(0x3A));
}

TEST(PackedCodes, ReadBackWhatWasPackedAtEveryWidthAndLength) {
  Rng rng(7);
  for (int bits = 1; bits <= 8; ++bits) {
    for (size_t count = 0; count < 40; ++count) {
      std::vector<uint8_t> codes(count), back(count);
      for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.Below(1u << bits));
      const std::vector<uint8_t> packed = PackCodes(codes, bits);
      ASSERT_EQ(static_cast<int64_t>(packed.size()), PackedSizeBytes(static_cast<int64_t>(count), bits));
      UnpackCodes(packed, bits, back);
      ASSERT_EQ(back, codes) << bits << " bits, " << count << " codes";
    }
  }
}

TEST(PackedCodes, RefuseACodeThatDoesNotFit) {
  for (const size_t place : {1, 7, 8, 9}) {  // Eight at once, then what is left.
    std::vector<uint8_t> codes(10, 1);
    codes[place] = 8;
    try {
      PackCodes(codes, 3);
      FAIL() << "8 was packed into 3 bits at " << place;
    } catch (const InternalError& error) {
      EXPECT_STREQ(error.what(), "a code does not fit into 3 bits");
    }
  }
}

TEST(PackedCodes, RefuseASpanOfTheWrongSize) {
  std::vector<uint8_t> codes(9);
  try {
    UnpackCodes(std::vector<uint8_t>{1, 2, 3}, 3, codes);
    FAIL() << "9 codes were read from 3 bytes";
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "packed codes have 3 bytes, but 9 codes of 3 bits are asked for");
  }
}

}  // namespace
}  // namespace bitlaw
