// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/launch_order.h"

#include <algorithm>

#include "base/os/socket.h"
#include "launcher/spec/init_protocol.h"

namespace slipway {
namespace {

Result<> SendAll(int control, int memfd, const std::vector<int>& fds, bool idle) {
  TRY(SendMessage(control, EncodeFrame(InitFrame::kLaunch, LaunchRequest{.idle = idle}), {memfd}));
  for (std::size_t start = 0; start < fds.size(); start += kMessageFdsMax) {
    WireWriter frame;
    frame(static_cast<std::uint16_t>(InitFrame::kFds));
    auto begin = fds.begin() + static_cast<std::ptrdiff_t>(start);
    auto end = begin + static_cast<std::ptrdiff_t>(std::min<std::size_t>(kMessageFdsMax, fds.size() - start));
    TRY(SendMessage(control, frame.Take(), {begin, end}));
  }
  return {};
}

}  // namespace

Result<> SendLaunch(int control, const LaunchSpec& spec, const std::vector<int>& fds, bool idle) {
  UniqueFd memfd = TRY(MakeSealedMemfd("launch-spec", EncodeLaunchSpec(spec)));
  auto sent = SendAll(control, memfd.get(), fds, idle);
  if (!sent && sent.error().sys_errno != EPIPE && sent.error().sys_errno != ECONNRESET) return sent;
  return {};
}

}  // namespace slipway
