// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <unistd.h>

#include <csignal>

#include "base/os/process.h"
#include "hooks/gpu/nvml.h"

namespace slipway {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kAnswerMax = 4 << 20;

struct Framed {
  std::int32_t code = 0;
  std::string message;
  NvmlAnswer answer;
};
void Fields(auto& archive, IsA<Framed> auto& v) { archive(v.code, v.message, v.answer); }

Framed FramedOf(Result<NvmlAnswer> answer) {
  if (answer) return {.answer = std::move(*answer)};
  return {.code = static_cast<std::int32_t>(answer.error().code), .message = answer.error().message};
}

Result<std::string> ReadBy(int fd, Clock::time_point deadline) {
  std::string bytes;
  char chunk[4096];
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Fail(Code::kDeadlineExceeded, "the driver does not answer");
    pollfd wait{.fd = fd, .events = POLLIN};
    if (::poll(&wait, 1, static_cast<int>(left)) < 0 && errno != EINTR) return ErrnoFail("poll");
    if (wait.revents == 0) continue;
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno != EINTR) return ErrnoFail("reading NVML's answer");
    if (n == 0) return bytes;
    if (n > 0) bytes.append(chunk, static_cast<std::size_t>(n));
    if (bytes.size() > kAnswerMax) return Fail(Code::kOutOfRange, "NVML says more than 4 MiB");
  }
}

// One that hangs in the kernel would not let us go.
void Reap(Process& child) {
  constexpr int kPatience_ms = 1000;
  pollfd ended{.fd = child.pidfd(), .events = POLLIN};
  if (::poll(&ended, 1, kPatience_ms) == 1) [[maybe_unused]]
    auto status = child.Wait();
}

}  // namespace

Result<NvmlAnswer> NvmlInChild::Ask() {
  PipeEnds pipe = TRY(MakePipe());
  Process child = TRY(Clone3({}));
  if (!child) {
    pipe.read.reset();
    [[maybe_unused]] auto written = WriteAll(pipe.write.get(), Encode(FramedOf(source_.Ask())));
    ::_exit(0);
  }
  pipe.write.reset();
  auto bytes = ReadBy(pipe.read.get(), Clock::now() + deadline_);
  [[maybe_unused]] auto killed = child.Signal(SIGKILL);
  Reap(child);
  if (!bytes) return Failure(std::move(bytes).error());
  if (bytes->empty()) return Fail(Code::kInternal, "the driver's library ended the process that asked it");
  Framed framed = TRY(Decode<Framed>(*bytes, "NVML's answer"));
  if (framed.code != 0) return Fail(static_cast<Code>(framed.code), framed.message);
  return std::move(framed.answer);
}

}  // namespace slipway
