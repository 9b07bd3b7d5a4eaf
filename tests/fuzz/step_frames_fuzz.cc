// SPDX-License-Identifier: Apache-2.0
// stepd is the user's: its stream to the agent, cut at any place, must leave the agent with bounded, checked
// words.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>

#include "agent/steps/user_word.h"
#include "base/wire/stream.h"

namespace {

using namespace slipway;

constexpr StepId kStep{42, 1, 0};
const std::vector<std::uint32_t> kRanks = {0, 1};

bool IsOneLine(std::string_view text) {
  return text.size() <= kReasonBytesMax && text.find_first_of("\n\r\t\x1b") == std::string_view::npos;
}

void Read(std::string_view bytes) {
  auto frame = SplitFrame<StepFrame>(bytes);
  if (!frame) return;
  if (auto state = ReadStepState(frame->payload, kStep)) CHECK(state->step == kStep);
  if (auto result = ReadStepResult(frame->payload, kStep, kRanks)) {
    CHECK(result->step == kStep && result->exit_code >= 0 && result->exit_code <= 255 &&
          IsOneLine(result->reason));
  }
  if (auto output = ReadStepOutput(frame->payload, kRanks)) CHECK(output->rank <= 1 && output->stream <= 2);
  (void)ReadStepRendezvous(frame->payload);
  if (auto exchange = ReadStepExchange(frame->payload, 2))
    CHECK(exchange->node < 2 && exchange->bytes.size() <= kExchangeBytesMax);
  (void)Decode<StepAttach>(frame->payload, "fuzz");
  (void)Decode<StepPeerGone>(frame->payload, "fuzz");
  (void)Decode<StepStdin>(frame->payload, "fuzz");
  (void)Decode<StepTerminate>(frame->payload, "fuzz");
  CHECK(IsOneLine(OneLine(frame->payload)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  FrameReader reader(1 << 16);
  while (input.remaining_bytes() > 0) {
    reader.Feed(input.ConsumeRandomLengthString(4096));
    for (;;) {
      auto frame = reader.Next();
      if (!frame) return 0;  // the connection would be dropped
      if (!*frame) break;
      CHECK((*frame)->size() <= 1 << 16);
      Read(**frame);
    }
  }
  return 0;
}
