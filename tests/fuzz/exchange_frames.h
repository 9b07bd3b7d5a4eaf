// SPDX-License-Identifier: Apache-2.0
// A fuzzer that sends bytes alone hardly gets past a link's numbers. These are link.cc's and exchange.cc's
// frames, so that a fuzzer can write ones that are right up to what it wants to be wrong.
#pragma once

#include <cstdint>
#include <string>

#include "base/wire/wire.h"

namespace fuzz {

struct LinkFrame {
  std::uint64_t sequence = 0, acknowledged = 0;
  bool last = true;
  std::string piece;
};
void Fields(auto& archive, slipway::IsA<LinkFrame> auto& v) {
  archive(v.sequence, v.acknowledged, v.last, v.piece);
}

struct Message {
  static constexpr std::uint8_t kBlocks = 1, kRequest = 4, kAnswer = 5;

  std::uint8_t kind = 0;
  std::uint64_t name = 0, number = 0;
  std::uint32_t round = 0;
  bool ok = true;
  std::string data;
};
void Fields(auto& archive, slipway::IsA<Message> auto& v) {
  archive(v.kind, v.name, v.number, v.round, v.ok, v.data);
}

}  // namespace fuzz
