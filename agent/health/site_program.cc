// SPDX-License-Identifier: Apache-2.0
#include "agent/health/site_program.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <csignal>

#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::size_t kOutputKept = 64 << 10;

void Append(std::string& output, int fd) {
  char bytes[4096];
  for (ssize_t n; (n = ::read(fd, bytes, sizeof bytes)) > 0;) {
    output.append(bytes, static_cast<std::size_t>(n));
    if (output.size() > 2 * kOutputKept) output.erase(0, output.size() - kOutputKept);
  }
}

}  // namespace

struct SitePrograms::Running {
  Process process;
  UniqueFd output;
  Loop::WatchId output_watch, end_watch;
  Loop::TimerId deadline;
  std::string text;
  std::function<void(const ProgramEnd&)> done;
};

std::string Describe(const ProgramEnd& end, std::chrono::seconds deadline) {
  std::string text = end.how == ProgramEnd::kExited     ? Cat("exit code ", end.code)
                     : end.how == ProgramEnd::kSignaled ? Cat("ended by signal ", end.code)
                     : end.how == ProgramEnd::kTimedOut ? Cat("not done within ", deadline.count(), " s")
                                                        : end.error;
  std::string_view words = Trim(end.output);
  words = words.substr(words.rfind('\n') == words.npos ? 0 : words.rfind('\n') + 1);
  if (!words.empty()) text += Cat(": ", Printable(words.substr(0, 200)));
  return text;
}

SitePrograms::SitePrograms(Loop& loop) : loop_(loop) {}

SitePrograms::~SitePrograms() {
  *alive_ = false;
  while (!running_.empty()) {
    running_.begin()->second->done = nullptr;
    OnEnd(running_.begin()->first, true);
  }
}

void SitePrograms::Run(std::vector<std::string> argv, std::vector<std::string> env,
                       std::chrono::seconds deadline, std::function<void(const ProgramEnd&)> done) {
  auto running = std::make_unique<Running>();
  auto start = [&]() -> Result<> {
    UniqueFd null_fd = TRY(Open("/dev/null", O_RDONLY));
    PipeEnds pipe = TRY(MakePipe());
    TRY(SetNonblocking(pipe.read.get()));
    running->process = TRY(Spawn({.argv = std::move(argv),
                                  .env = std::move(env),
                                  .cwd = "/",
                                  .fds = {{0, null_fd.get()}, {1, pipe.write.get()}, {2, pipe.write.get()}},
                                  .new_session = true,
                                  .parent_death_signal = SIGKILL}));
    running->output = std::move(pipe.read);
    return {};
  }();
  std::uint64_t number = next_++;
  if (start) {
    auto watched = [&]() -> Result<> {
      running->output_watch = TRY(
          loop_.Watch(running->output.get(), EPOLLIN, [this, number](std::uint32_t) { OnOutput(number); }));
      running->end_watch = TRY(loop_.Watch(running->process.pidfd(), EPOLLIN,
                                           [this, number](std::uint32_t) { OnEnd(number, false); }));
      return {};
    }();
    CHECK(watched.has_value());  // as long as descriptors can be had at all
    running->deadline = loop_.After(deadline, [this, number] { OnEnd(number, true); });
    running->done = std::move(done);
    running_.emplace(number, std::move(running));
    return;
  }
  ProgramEnd end{.how = ProgramEnd::kNotStarted, .code = 0, .output = {}, .error = start.error().message};
  loop_.Post([alive = alive_, done = std::move(done), end = std::move(end)] {
    if (*alive) done(end);
  });
}

void SitePrograms::OnOutput(std::uint64_t number) {
  Running& running = *running_.at(number);
  Append(running.text, running.output.get());
  char none;
  // Its end is not the program's: what it left in the background may hold the other end, or nobody.
  if (::read(running.output.get(), &none, 1) == 0)
    loop_.Unwatch(std::exchange(running.output_watch, Loop::WatchId{}));
}

void SitePrograms::OnEnd(std::uint64_t number, bool timed_out) {
  auto node = running_.extract(number);
  Running& running = *node.mapped();
  // Until it is reaped the group's number is nobody else's.
  ::kill(-running.process.pid(), SIGKILL);
  if (timed_out) [[maybe_unused]]
    auto killed = running.process.Signal(SIGKILL);
  loop_.Cancel(running.deadline);
  loop_.Unwatch(running.end_watch);
  if (running.output_watch.value != 0) loop_.Unwatch(running.output_watch);
  ProgramEnd end;
  if (auto status = running.process.Wait()) {
    end.how = timed_out            ? ProgramEnd::kTimedOut
              : status->signaled() ? ProgramEnd::kSignaled
                                   : ProgramEnd::kExited;
    end.code = status->signaled() ? status->signal() : status->exit_code();
  } else {
    end.error = status.error().message;
  }
  Append(running.text, running.output.get());
  if (running.text.size() > kOutputKept) running.text.erase(0, running.text.size() - kOutputKept);
  end.output = std::move(running.text);
  if (running.done) running.done(end);
}

}  // namespace slipway
