// SPDX-License-Identifier: Apache-2.0
#include "base/wire/stream.h"

#include "base/wire/wire.h"

namespace slipway {

std::string WithLength(std::string_view frame) {
  std::string bytes = Encode(static_cast<std::uint32_t>(frame.size()));
  bytes.append(frame);
  return bytes;
}

Result<std::optional<std::string>> FrameReader::Next() {
  std::string_view left = std::string_view(buffer_).substr(start_);
  if (left.size() < 4) return std::optional<std::string>{};
  std::uint32_t size = TRY(Decode<std::uint32_t>(left.substr(0, 4), "frame length"));
  if (size > frame_bytes_max_)
    return Fail(Code::kOutOfRange, "frame of ", size, " bytes, at most ", frame_bytes_max_);
  if (left.size() < 4 + size) return std::optional<std::string>{};
  std::string frame(left.substr(4, size));
  start_ += 4 + size;
  if (start_ == buffer_.size() || start_ > (1 << 20)) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  return std::optional<std::string>(std::move(frame));
}

}  // namespace slipway
