// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/file_bytes.h"

#include <span>

#include "base/os/fd.h"

namespace slipway {

Result<std::string> ReadAt(int fd, std::uint64_t offset, std::size_t bytes) {
  std::string buffer(bytes, '\0');
  TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(buffer.data(), buffer.size())), offset));
  return buffer;
}

std::uint64_t Little(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

}  // namespace slipway
