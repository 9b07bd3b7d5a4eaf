// SPDX-License-Identifier: Apache-2.0
// Whoever may talk to a running container's init may send it any order: what passes must be safe to index
// with.
#include <cstdint>
#include <string_view>

#include "launcher/spec/init_protocol.h"
#include "launcher/spec/task_order.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  if (size == 0) return 0;
  std::size_t streams = data[0] % 5;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  (void)Decode<RunTask>(bytes, "fuzz");
  (void)Decode<TaskFinish>(bytes, "fuzz");
  (void)Decode<TaskFailed>(bytes, "fuzz");
  auto order = DecodeTaskOrder(bytes, streams);
  if (!order) {
    CHECK(!order.error().message.empty());
    return 0;
  }
  CHECK(Encode(*order) == bytes);
  CHECK(!order->argv.empty() && !order->argv[0].empty());
  auto there = [&](std::int32_t fd) { return fd >= 0 && static_cast<std::size_t>(fd) < streams; };
  CHECK((order->stdin_fd == -1 || there(order->stdin_fd)) && there(order->stdout_fd) &&
        there(order->stderr_fd));
  CHECK(!order->terminal || order->stdin_fd >= 0);
  CHECK(order->kept_fd == -1 || there(order->kept_fd));
  CHECK(order->cwd.empty() || order->cwd[0] == '/');
  return 0;
}
