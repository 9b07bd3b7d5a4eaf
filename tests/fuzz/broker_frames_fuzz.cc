// SPDX-License-Identifier: Apache-2.0
// What the privileged broker and its holder decode: a taken-over agent may send any bytes.
#include <cstdint>
#include <string_view>

#include "launcher/broker/holder.h"
#include "launcher/broker/record.h"
#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/init_protocol.h"

namespace {

using namespace slipway;

// What decodes is the only spelling of its value: there is no second encoding to hide something in.
template <class T>
void Try(std::string_view payload) {
  if (auto value = Decode<T>(payload, "fuzz")) CHECK(Encode(*value) == payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view message(reinterpret_cast<const char*>(data), size);
  auto frame = SplitFrame<BrokerFrame>(message);
  CHECK(frame.has_value() == (size >= 2));
  if (!frame) return 0;
  std::string_view payload = frame->payload;
  Try<BrokerHello>(payload);
  Try<BrokerWelcome>(payload);
  Try<PlainRequest>(payload);
  Try<ImageRequest>(payload);
  Try<StartStep>(payload);
  Try<StepRequest>(payload);
  Try<ExecRequest>(payload);
  Try<BrokerError>(payload);
  Try<StepList>(payload);
  Try<ImageList>(payload);
  Try<ImportedImage>(payload);
  Try<ImportRequest>(payload);
  Try<StepGone>(payload);
  Try<HolderKey>(payload);
  Try<std::vector<std::string>>(payload);
  Try<LaunchRequest>(payload);
  Try<TaskSignal>(payload);
  Try<InitReady>(payload);
  Try<TaskStarted>(payload);
  Try<TaskExited>(payload);
  Try<HookPoint>(payload);
  Try<InitFailed>(payload);
  return 0;
}
