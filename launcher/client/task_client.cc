// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/task_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/os/process.h"
#include "base/os/socket.h"
#include "base/wire/stream.h"
#include "launcher/client/terminal_relay.h"

namespace slipway {
namespace {

constexpr int kForwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
constexpr std::size_t kAnswerBytesMax = 64 << 10;

class TaskClient {
 public:
  explicit TaskClient(const TaskRun& run) : run_(run) {}

  int Run() {
    auto started = Start();
    if (!started) {
      run_.say(started.error().message);
      return 125;
    }
    while (!code_) Step();
    if (relay_) relay_->Drain();
    relay_.reset();  // the terminal is ours again before anything is said
    if (!failure_.empty()) run_.say(failure_);
    return *code_;
  }

 private:
  Result<> Start() {
    sigset_t forwarded;
    sigemptyset(&forwarded);
    for (int number : kForwarded) sigaddset(&forwarded, number);
    sigaddset(&forwarded, SIGWINCH);
    if (::sigprocmask(SIG_BLOCK, &forwarded, nullptr) < 0) return ErrnoFail("sigprocmask");
    signals_.reset(::signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return ErrnoFail("signalfd");
    socket_ = TRY_CONTEXT(ConnectUnix(run_.socket, SOCK_STREAM), run_.whose);
    TaskOrder order = run_.order;
    std::vector<int> streams = TRY(Streams(order));
    UniqueFd memfd = TRY(MakeSealedMemfd("task-order", Encode(order)));
    streams.insert(streams.begin(), memfd.get());
    TRY_CONTEXT(SendMessage(socket_.get(), WithLength(EncodeFrame(TaskFrame::kRun, TaskHello{})), streams),
                run_.whose);
    null_.reset();
    if (!relay_) return {};
    relay_->ReleaseProcessSide();
    return relay_->Begin();
  }

  // Which descriptors travel, and where the order finds them among these.
  Result<std::vector<int>> Streams(TaskOrder& order) {
    bool ours[3];
    for (int fd = 0; fd < 3; ++fd) ours[fd] = ::fcntl(fd, F_GETFD) >= 0;
    if (ours[0] && ::isatty(0) && InForeground()) relay_.emplace(TRY(TerminalRelay::Open(0, OutputFd())));
    order.terminal = relay_.has_value();
    std::vector<int> streams;
    std::int32_t* wanted[3] = {&order.stdin_fd, &order.stdout_fd, &order.stderr_fd};
    for (int fd = 0; fd < 3; ++fd) {
      *wanted[fd] = static_cast<std::int32_t>(streams.size());
      if (!ours[fd] && !null_) null_ = TRY(Open("/dev/null", O_RDWR));
      bool through_relay = relay_ && ::isatty(fd);
      streams.push_back(!ours[fd] ? null_.get() : through_relay ? relay_->process_fd() : fd);
    }
    return streams;
  }

  // In the background our terminal is not to be touched.
  static bool InForeground() { return ::tcgetpgrp(0) == ::getpgrp(); }
  static int OutputFd() { return ::isatty(1) ? 1 : ::isatty(2) ? 2 : 0; }

  void Step() {
    pollfd fds[2 + TerminalRelay::kPolled] = {{socket_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (relay_) relay_->Prepare(fds + 2);
    if (::poll(fds, relay_ ? 2 + TerminalRelay::kPolled : 2, -1) < 0) return;
    if (relay_) relay_->Handle(fds + 2);
    if (fds[1].revents != 0) ForwardSignals();
    if (fds[0].revents == 0) return;
    if (auto read = Read(); !read) End(125, Cat(run_.whose, ": ", read.error().message));
  }

  void End(int code, std::string failure) {
    if (code_) return;
    code_ = code;
    failure_ = std::move(failure);
  }

  Result<> Read() {
    char buffer[4096];
    ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (got <= 0)
      return Fail(Code::kUnavailable, "whoever kept the container has gone, and the command with it");
    reader_.Feed({buffer, static_cast<std::size_t>(got)});
    while (auto bytes = TRY(reader_.Next())) {
      auto frame = TRY(SplitFrame<TaskFrame>(*bytes));
      if (frame.kind == TaskFrame::kExited) {
        auto exited = TRY(Decode<TaskExited>(frame.payload, "exit frame"));
        End(ExitStatus{exited.wait_status}.exit_code(), "");
      } else if (frame.kind == TaskFrame::kFailed) {
        auto failed = TRY(Decode<InitFailed>(frame.payload, "failure frame"));
        End(failed.exit_code, failed.message);
      } else if (frame.kind != TaskFrame::kStarted) {
        return Fail(Code::kInternal, "an answer of kind ", static_cast<int>(frame.kind));
      }
    }
    return {};
  }

  void ForwardSignals() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      auto number = static_cast<std::int32_t>(info.ssi_signo);
      if (number == SIGWINCH) {
        if (relay_) relay_->Resize();
        continue;
      }
      // The process is in a session of its own: even the terminal's own signals do not reach it without us.
      std::string bytes = WithLength(EncodeFrame(TaskFrame::kSignal, number));
      [[maybe_unused]] auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }

  const TaskRun& run_;
  UniqueFd signals_, socket_, null_;
  std::optional<TerminalRelay> relay_;
  FrameReader reader_{kAnswerBytesMax};
  std::optional<int> code_;
  std::string failure_;
};

}  // namespace

int RunTaskIn(const TaskRun& run) { return TaskClient(run).Run(); }

Result<> StopInstance(const std::string& socket, const InstanceStop& stop) {
  UniqueFd connection = TRY(ConnectUnix(socket, SOCK_STREAM));
  TRY(SendMessage(connection.get(), WithLength(EncodeFrame(TaskFrame::kStop, stop))));
  FrameReader reader(kAnswerBytesMax);
  for (;;) {
    char buffer[4096];
    ssize_t got = ::recv(connection.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};  // it has ended
    reader.Feed({buffer, static_cast<std::size_t>(got)});
    while (auto bytes = TRY(reader.Next())) {
      auto frame = TRY(SplitFrame<TaskFrame>(*bytes));
      if (frame.kind == TaskFrame::kFailed)
        return Fail(Code::kInternal, TRY(Decode<InitFailed>(frame.payload, "failure frame")).message);
    }
  }
}

}  // namespace slipway
