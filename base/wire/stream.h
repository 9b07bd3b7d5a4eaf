// SPDX-License-Identifier: Apache-2.0
// Frames on a byte stream: u32 length (of what follows) + frame. The reader is fed whatever the socket gave
// and hands out whole frames; a length beyond its bound is an error at once, before anything is buffered for
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

inline constexpr std::size_t kStreamFrameBytesMax = 64 << 20;

std::string WithLength(std::string_view frame);

class FrameReader {
 public:
  explicit FrameReader(std::size_t frame_bytes_max = kStreamFrameBytesMax)
      : frame_bytes_max_(frame_bytes_max) {}
  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole frame, nothing when more bytes are needed, kOutOfRange for a length beyond the bound.
  Result<std::optional<std::string>> Next();

 private:
  std::size_t frame_bytes_max_;
  std::string buffer_;
  std::size_t start_ = 0;  // of the next frame in buffer_; compacted now and then, not per frame
};

}  // namespace slipway
