// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/signal_name.h"

#include <csignal>
#include <cstring>

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::cli {

Result<int> SignalNumber(std::string text) {
  if (auto number = ParseNumber(text, 1, 64)) return static_cast<int>(*number);
  if (text.starts_with("SIG")) text = text.substr(3);
  for (int number = 1; number < 32; ++number) {
    const char* name = ::sigabbrev_np(number);
    if (name != nullptr && text == name) return number;
  }
  return Fail(Code::kInvalidArgument, "--signal ", text, ": no such signal");
}

Result<v1::LimitSignal> LimitSignalOf(const std::string& text) {
  constexpr std::uint32_t kDefaultSeconds = 60;
  v1::LimitSignal signal;
  std::string_view left = text;
  // "B:", "BR:", "B:R:". R lets a job run into a reservation, which here the reservation allows (flex).
  for (auto colon = left.find(':'); colon != std::string_view::npos; colon = left.find(':')) {
    for (char letter : left.substr(0, colon)) {
      if (letter != 'B' && letter != 'R')
        return Fail(Code::kInvalidArgument, "--signal ", text, ": before the colon there may be B and R");
      if (letter == 'B') signal.set_batch_only(true);
    }
    left.remove_prefix(colon + 1);
  }
  auto at = left.find('@');
  signal.set_signal(TRY(SignalNumber(std::string(left.substr(0, at)))));
  signal.set_seconds(kDefaultSeconds);
  if (at != std::string_view::npos)
    signal.set_seconds(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(left.substr(at + 1), 0, UINT16_MAX), Cat("--signal ", text))));
  return signal;
}

}  // namespace slipway::cli
