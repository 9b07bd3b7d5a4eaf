// SPDX-License-Identifier: Apache-2.0
#include "base/loop/forked_work.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include "base/wire/wire.h"

namespace slipway {
namespace {

struct Outcome {
  std::int32_t code = 0, sys_errno = 0;
  std::string text;  // the answer, or the error's message
};
void Fields(auto& archive, IsA<Outcome> auto& v) { archive(v.code, v.sys_errno, v.text); }

constexpr std::size_t kOutcomeBytesMax = 64 << 10;

Result<std::string> ToResult(std::string_view bytes) {
  Outcome outcome = TRY_CONTEXT(Decode<Outcome>(bytes, "answer"), "a worker ended without an answer");
  if (outcome.code != 0)
    return Failure(Error{static_cast<Code>(outcome.code), outcome.sys_errno, std::move(outcome.text)});
  return std::move(outcome.text);
}

}  // namespace

Workers::~Workers() {
  for (auto& [id, running] : running_) {
    loop_.Unwatch(running.watch);
    [[maybe_unused]] auto killed = running.process.Signal(SIGKILL);
    [[maybe_unused]] auto reaped = running.process.Wait();
  }
}

void Workers::Run(Work work, Done done) {
  if (waiting_.size() >= kWaitingMax)
    return done(Fail(Code::kResourceExhausted, "too much waits for a worker already"));
  waiting_.emplace_back(std::move(work), std::move(done));
  StartNext();
}

void Workers::StartNext() {
  while (running_.size() < kAtOnce && !waiting_.empty()) {
    auto [work, done] = std::move(waiting_.front());
    waiting_.pop_front();
    auto started = [&, &work = work, &done = done]() -> Result<> {
      PipeEnds pipe = TRY(MakePipe());
      pid_t parent = ::getpid();
      Process process = TRY(Clone3({}));
      if (!process) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        auto result = work();
        Outcome outcome = result ? Outcome{0, 0, *result}
                                 : Outcome{static_cast<std::int32_t>(result.error().code),
                                           result.error().sys_errno, result.error().message};
        ::_exit(WriteAll(pipe.write.get(), Encode(outcome)) ? 0 : 1);
      }
      std::uint64_t id = next_id_++;
      auto watch = TRY(loop_.Watch(pipe.read.get(), EPOLLIN, [this, id](std::uint32_t) { Read(id); }));
      running_.emplace(id, Running{std::move(process), std::move(pipe.read), watch, {}, std::move(done)});
      return {};
    }();
    if (!started) done(Failure(std::move(started).error()));
  }
}

void Workers::Read(std::uint64_t id) {
  Running& running = running_.at(id);
  char chunk[4096];
  ssize_t n = ::read(running.pipe.get(), chunk, sizeof chunk);
  if (n < 0 && errno == EINTR) return;
  if (n > 0 && running.bytes.size() < kOutcomeBytesMax) {
    running.bytes.append(chunk, static_cast<std::size_t>(n));
    return;
  }
  loop_.Unwatch(running.watch);
  if (n > 0) [[maybe_unused]]
    auto killed = running.process.Signal(SIGKILL);
  [[maybe_unused]] auto reaped = running.process.Wait();
  Done done = std::move(running.done);
  auto result = ToResult(running.bytes);
  running_.erase(id);
  done(std::move(result));
  StartNext();
}

}  // namespace slipway
