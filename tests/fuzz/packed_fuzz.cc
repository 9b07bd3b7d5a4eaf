// SPDX-License-Identifier: Apache-2.0
// Compressed data of another stepd, which may be under its user's control: it becomes what its head says,
// within what is allowed, or nothing. And whatever is packed comes back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pmix/exchange/packed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  constexpr std::size_t kMax = 1 << 16;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string out = "before";
  auto claimed = PlainBytes(bytes);
  if (Unpack(bytes, kMax, out)) {
    CHECK(claimed && *claimed <= kMax && out.size() == *claimed + 6 && out.starts_with("before"));
  } else {
    CHECK(out == "before");
  }
  std::string packed = Pack(bytes), back;
  CHECK(packed.size() <= bytes.size() + 1 && *PlainBytes(packed) == bytes.size());
  CHECK(Unpack(packed, bytes.size(), back) && back == bytes);
  return 0;
}
