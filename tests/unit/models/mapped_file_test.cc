#include "bitlaw/sdk/checkpoint/mapped_file.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

class MappedPages : public FileTest {};

// What was written to a page is lost where the page is given back, and stays where only a part of it is.
TEST_F(MappedPages, AreReadAgainOnceTheyWereReleased) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto file = MappedFile::Open(Write("pages", std::string(4 * page, 'a')));
  auto* const bytes = const_cast<std::byte*>(file->bytes());
  std::fill_n(bytes, 4 * page, std::byte{'b'});
  file->Release(1, 3 * page - 1);  // From the second byte of page 0 to the end of page 2.
  EXPECT_EQ(bytes[page - 1], std::byte{'b'});
  EXPECT_EQ(bytes[page], std::byte{'a'});
  EXPECT_EQ(bytes[3 * page - 1], std::byte{'a'});
  EXPECT_EQ(bytes[3 * page], std::byte{'b'});
  file->Release(3 * page + 1, page - 2);  // No whole page.
  EXPECT_EQ(bytes[3 * page + 1], std::byte{'b'});
}

// A block that is dropped leaves memory: its pages are the file's again. A view holds them.
TEST_F(MappedPages, OfATensorAreReleasedWithItsLastView) {
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const auto file = MappedFile::Open(Write("tensor", std::string(2 * page, '\0')));
  EXPECT_FALSE(IsMapped(MappedTensor(file, 0, {2 * page}, at::kByte, at::kFloat)));
  at::Tensor tensor = MappedTensor(file, 0, {2 * page}, at::kByte, at::kByte);
  tensor.fill_(7);
  at::Tensor view = tensor.narrow(0, page, 1);
  EXPECT_TRUE(IsMapped(view));
  tensor.reset();
  EXPECT_EQ(view.item<int>(), 7);
  EXPECT_EQ(file->bytes()[0], std::byte{7});
  view.reset();
  EXPECT_EQ(file->bytes()[0], std::byte{0});
  EXPECT_EQ(file->bytes()[page], std::byte{0});
}

}  // namespace
}  // namespace bitlaw
