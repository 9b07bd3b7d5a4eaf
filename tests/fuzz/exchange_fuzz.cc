// SPDX-License-Identifier: Apache-2.0
// Between stepds the bytes pass two agents, and the other stepd may be under its user's control.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>
#include <vector>

#include "pmix/exchange/exchange.h"
#include "tests/fuzz/exchange_frames.h"

namespace {

using namespace slipway;

// Bare, as data that says that it is compressed, or as a block of such.
std::string AnyData(FuzzedDataProvider& input) {
  std::string data = input.ConsumeRandomLengthString(64);
  if (input.ConsumeBool()) data = '\1' + Encode(input.ConsumeIntegralInRange<std::uint32_t>(0, 300)) + data;
  if (input.ConsumeBool()) data = Encode(std::vector{data});
  return data;
}

// `gather`: the name of one that is open.
std::string FramedMessage(FuzzedDataProvider& input, std::uint64_t gather) {
  fuzz::Message message;
  message.kind = input.ConsumeIntegralInRange<std::uint8_t>(0, 7);
  message.name = input.ConsumeBool() ? gather : input.ConsumeIntegralInRange<std::uint64_t>(0, 4);
  message.number = input.ConsumeIntegralInRange<std::uint64_t>(0, 3);
  message.round = input.ConsumeIntegralInRange<std::uint32_t>(0, 2);
  message.ok = input.ConsumeBool();
  message.data = AnyData(input);
  fuzz::LinkFrame frame;
  frame.sequence = input.ConsumeIntegralInRange<std::uint64_t>(0, 8);
  frame.acknowledged = input.ConsumeIntegralInRange<std::uint64_t>(0, 4);
  frame.last = input.ConsumeBool();
  frame.piece = Encode(message);
  return Encode(frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  std::uint32_t answers = 0, asked = 0;
  auto count = [&answers](Result<std::string>) { ++answers; };
  ExchangeCallbacks callbacks;
  std::uint64_t gather = 0;
  callbacks.send = [&gather](std::uint32_t node, const std::string& bytes) {
    CHECK(node < 3);
    auto frame = Decode<fuzz::LinkFrame>(bytes, "frame");
    CHECK(frame.has_value());
    auto message = Decode<fuzz::Message>(frame->piece, "message");
    if (message && message->kind == fuzz::Message::kBlocks) gather = message->name;
  };
  callbacks.serve = [](std::uint32_t node, Service, std::string data, ExchangeCallbacks::Reply reply) {
    CHECK(node < 3);
    reply(std::move(data));
  };
  callbacks.step_failed = [](std::uint32_t node, std::int32_t, std::string) { CHECK(node < 3); };
  Exchange exchange(input.ConsumeIntegralInRange<std::uint32_t>(0, 2), {"n1", "n2", "n3"}, callbacks);
  while (input.remaining_bytes() > 0) {
    std::uint32_t node = input.ConsumeIntegralInRange<std::uint32_t>(0, 2);
    switch (input.ConsumeIntegralInRange<int>(0, 7)) {
      case 0:
        if (!exchange.Deliver(node, input.ConsumeRandomLengthString(512))) return 0;
        break;
      case 1:
      case 2:
        if (!exchange.Deliver(node, FramedMessage(input, gather))) return 0;
        break;
      case 3:
        ++asked;
        exchange.AllGather("all", {0, 1, 2}, "data", count);
        break;
      case 4:
        ++asked;
        exchange.Ask(node, Service::kModex, "1", count);
        break;
      case 5:
        exchange.PeerGone(node, "fuzz");
        break;
      case 6:
        exchange.Tick();
        break;
      default:
        exchange.Resend();
    }
    CHECK(answers <= asked);
  }
  return 0;
}
