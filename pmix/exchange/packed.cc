// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/packed.h"

#include <lz4.h>

#include "base/wire/wire.h"

namespace slipway {
namespace {

constexpr char kPlain = 0, kLz4 = 1;
constexpr std::size_t kLz4HeadBytes = 5;  // kLz4 and how much it was
// No byte of LZ4's format stands for more than this many: what says that it was more is a lie.
constexpr std::size_t kLz4FactorMax = 255;

struct Head {
  char kind = kPlain;
  std::uint32_t plain_bytes = 0;
};
void Fields(auto& archive, IsA<Head> auto& v) { archive(v.kind, v.plain_bytes); }

}  // namespace

std::string Pack(std::string_view plain) {
  if (plain.empty()) return {};
  if (plain.size() >= kPackFromBytes && plain.size() <= LZ4_MAX_INPUT_SIZE) {
    // Room for less than it was: what would not fit is not worth it.
    std::string packed = Encode(Head{kLz4, static_cast<std::uint32_t>(plain.size())});
    packed.resize(plain.size());
    int size =
        LZ4_compress_default(plain.data(), packed.data() + kLz4HeadBytes, static_cast<int>(plain.size()),
                             static_cast<int>(packed.size() - kLz4HeadBytes));
    if (size > 0) {
      packed.resize(kLz4HeadBytes + static_cast<std::size_t>(size));
      return packed;
    }
  }
  std::string packed(1, kPlain);
  packed += plain;
  return packed;
}

Result<std::size_t> PlainBytes(std::string_view packed) {
  if (packed.empty()) return 0;
  if (packed.front() == kPlain) return packed.size() - 1;
  if (packed.front() != kLz4) return Fail(Code::kInvalidArgument, "packed data of no known kind");
  Head head = TRY(Decode<Head>(packed.substr(0, kLz4HeadBytes), "packed data"));
  if (packed.size() > LZ4_MAX_INPUT_SIZE || head.plain_bytes > LZ4_MAX_INPUT_SIZE ||
      head.plain_bytes > (packed.size() - kLz4HeadBytes) * kLz4FactorMax)
    return Fail(Code::kInvalidArgument, "packed data of ", packed.size(), " bytes that says it was ",
                head.plain_bytes);
  return head.plain_bytes;
}

Result<> Unpack(std::string_view packed, std::size_t plain_bytes_max, std::string& out) {
  std::size_t bytes = TRY(PlainBytes(packed)), before = out.size();
  if (bytes > plain_bytes_max)
    return Fail(Code::kInvalidArgument, "packed data of ", bytes, " bytes, at most ", plain_bytes_max);
  if (packed.empty()) return {};
  if (packed.front() == kPlain) {
    out += packed.substr(1);
    return {};
  }
  packed.remove_prefix(kLz4HeadBytes);
  out.resize(before + bytes);
  int size = LZ4_decompress_safe(packed.data(), out.data() + before, static_cast<int>(packed.size()),
                                 static_cast<int>(bytes));
  if (size >= 0 && static_cast<std::size_t>(size) == bytes) return {};
  out.resize(before);
  return Fail(Code::kInvalidArgument, "packed data that does not become the ", bytes, " bytes it was");
}

}  // namespace slipway
