#include "bitlaw/base/digest.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// FIPS 180-4, appendix B.1, and the empty message.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Digest, IsSha256) {
  EXPECT_EQ(DigestOf("abc"), kAbc);
  EXPECT_EQ(DigestOf(""), kEmpty);
}

TEST(Digest, DoesNotDependOnHowTheBytesAreCut) {
  Digest digest;
  digest.Add("a").Add("").Add("bc");
  EXPECT_EQ(digest.Hex(), kAbc);
}

TEST(Digest, IsTakenOnce) {
  Digest digest;
  digest.Hex();
  EXPECT_THROW(digest.Hex(), InternalError);
  EXPECT_THROW(digest.Add("x"), InternalError);
}

TEST(Digest, OfAFileIsThatOfItsBytes) {
  const auto path = std::filesystem::temp_directory_path() / ("bitlaw_digest_" + std::to_string(getpid()));
  const std::string bytes(3 << 20, 'x');  // More than one buffer.
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_EQ(DigestOfFile(path), DigestOf(bytes));
  std::filesystem::remove(path);
  try {
    DigestOfFile(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_EQ(error.what(), path.string() + ": cannot be read: No such file or directory.");
  }
}

TEST(Digest, OfAFolderIsRefused) {
  const auto folder = std::filesystem::temp_directory_path();
  try {
    DigestOfFile(folder);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), folder.string() + ": is a folder, where a file is needed.");
  }
}

TEST(Digest, IsShownShort) { EXPECT_EQ(ShortDigest(kAbc), "ba7816bf8f01"); }

}  // namespace
}  // namespace bitlaw
