#include "sdk/data/parquet/compression.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// zlib's state, closed whatever happens.
struct Inflation {
  z_stream stream{};
  // 16: a gzip header, and no other.
  Inflation() {
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw InternalError("zlib cannot begin to read gzip");
  }
  ~Inflation() { inflateEnd(&stream); }
  Inflation(const Inflation&) = delete;
  Inflation& operator=(const Inflation&) = delete;
};

}  // namespace

std::string Gunzip(std::string_view packed, size_t max_bytes, const std::string& where) {
  std::string out;
  size_t at = 0;
  while (at < packed.size()) {
    Inflation inflation;
    z_stream& stream = inflation.stream;
    for (int status = Z_OK; status != Z_STREAM_END;) {
      // Beyond 4 GiB in steps: zlib counts in 32 bits.
      const size_t step = std::min<size_t>(packed.size() - at, size_t{1} << 30);
      std::array<char, 1 << 16> room;
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + at));
      stream.avail_in = static_cast<uInt>(step);
      stream.next_out = reinterpret_cast<Bytef*>(room.data());
      stream.avail_out = room.size();
      status = inflate(&stream, Z_NO_FLUSH);
      at += step - stream.avail_in;
      const size_t made = room.size() - stream.avail_out;
      if (status == Z_BUF_ERROR || (status == Z_OK && made == 0 && at == packed.size())) {
        throw Error(ErrorKind::kIo, where + ": the gzip data end too early. The file is cut off.");
      }
      if (status != Z_OK && status != Z_STREAM_END) {
        throw Error(ErrorKind::kIo, where + ": the bytes from " + std::to_string(at) + " on are not gzip" +
                                        (stream.msg == nullptr ? "" : std::string(" (") + stream.msg + ")") + ".");
      }
      if (out.size() + made > max_bytes) {
        throw Error(ErrorKind::kBudget,
                    where + ": has more than " + std::to_string(max_bytes) + " bytes unpacked, which is the limit.");
      }
      out.append(room.data(), made);
    }
  }
  return out;
}

std::string Unpack(ParquetCodec codec, std::string_view packed, size_t size_bytes, const std::string& where) {
  const auto fail = [&](const std::string& what) -> void { throw Error(ErrorKind::kIo, where + ": " + what); };
  std::string out;
  switch (codec) {
    case ParquetCodec::kNone: out = packed; break;
    case ParquetCodec::kSnappy: {
      size_t given = 0;
      if (!snappy::GetUncompressedLength(packed.data(), packed.size(), &given) || given != size_bytes) {
        fail("the page is not Snappy of " + std::to_string(size_bytes) + " bytes.");
      }
      out.resize(size_bytes);
      if (!snappy::RawUncompress(packed.data(), packed.size(), out.data())) fail("the page's Snappy data are damaged.");
      break;
    }
    case ParquetCodec::kGzip: out = Gunzip(packed, size_bytes, where); break;
    case ParquetCodec::kZstd: {
      out.resize(size_bytes);
      const size_t made = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
      if (ZSTD_isError(made) != 0U)
        fail(std::string("the page's Zstandard data are damaged (") + ZSTD_getErrorName(made) + ").");
      out.resize(made);
      break;
    }
    default: {
      static constexpr const char* kNames[] = {"none",   "Snappy", "gzip",      "LZO",
                                               "Brotli", "LZ4",    "Zstandard", "LZ4_RAW"};
      const auto number = static_cast<int64_t>(codec);
      const std::string name = number >= 0 && number < 8 ? kNames[number] : "codec " + std::to_string(number);
      throw Error(ErrorKind::kUnsupported,
                  where + ": is packed by " + name +
                      ". Read are Snappy, gzip and Zstandard. Write the file anew with one of them.");
    }
  }
  if (out.size() != size_bytes) {
    fail("the page has " + std::to_string(out.size()) + " bytes unpacked, and its header says " +
         std::to_string(size_bytes) + ".");
  }
  return out;
}

}  // namespace bitlaw
