// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/container_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <optional>

#include "base/os/process.h"
#include "base/os/program.h"
#include "base/os/socket.h"
#include "launcher/client/launch_order.h"
#include "launcher/client/outside_hooks.h"
#include "launcher/client/terminal_relay.h"

namespace slipway {
namespace {

constexpr int kForwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

class Driver {
 public:
  explicit Driver(const ContainerRun& run) : run_(run), hooks_(run.spec, run.say) {}

  int Run(Entrance entrance) {
    auto outcome = Start(std::move(entrance));
    if (!outcome) {
      terminal_.reset();
      run_.say(outcome.error().message);
      return 125;
    }
    while (Step()) {
    }
    bool refused = AwaitEnd();
    if (terminal_) terminal_->Drain();
    terminal_.reset();
    hooks_.Stopped();
    if (refused) return 125;
    if (failed_) {
      run_.say(failed_->message);
      return failed_->exit_code;
    }
    if (exited_) return exited_->exit_code();
    if (last_signal_ != 0) return 128 + last_signal_;
    run_.say("the container ended without a word; was it killed?");
    return 125;
  }

 private:
  // The end of everything in the container, the image's server included. True when the starter has said on
  // stderr why it did not even begin. The broker need not say what the init did; a starter is our child, and
  // what it used is ours to count.
  bool AwaitEnd() {
    control_.reset();
    while (!alone_ && entered_.broker && ReceiveMessage(entered_.broker.get())) {
    }
    if (!entered_.starter) return false;
    auto ended = entered_.starter.Wait();
    return ended && !ended->signaled() && ended->exit_code() == kStarterRefused;
  }

  Result<> Start(Entrance entrance) {
    TRY(WatchSignals());
    entered_ = TRY(std::move(entrance).Await([this](const Entered& begun) { return SendOrder(begun); }));
    control_ = std::move(entered_.control);
    if (terminal_) terminal_->ReleaseProcessSide();
    return {};
  }

  Result<> SendOrder(const Entered& begun) {
    LaunchSpec spec = run_.spec;
    std::vector<int> streams = run_.fds;
    terminal_.reset();  // of a way that was refused
    if (begun.way == Way::kBrokered) TRY(HandStreamsOver(spec, streams));
    return SendLaunch(begun.control.get(), spec, streams);
  }

  Result<> WatchSignals() {
    sigset_t forwarded;
    sigemptyset(&forwarded);
    for (int number : kForwarded) sigaddset(&forwarded, number);
    sigaddset(&forwarded, SIGWINCH);
    if (::sigprocmask(SIG_BLOCK, &forwarded, nullptr) < 0) return ErrnoFail("sigprocmask");
    signals_.reset(::signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return ErrnoFail("signalfd");
    return {};
  }

  // The init is the broker's child: our streams have to be sent, and a terminal of its own instead of ours.
  Result<> HandStreamsOver(LaunchSpec& spec, std::vector<int>& fds) {
    Task& task = spec.tasks.at(0);
    if (::isatty(STDIN_FILENO) == 1) {
      int output_fd = ::isatty(STDOUT_FILENO) == 1 ? STDOUT_FILENO : STDIN_FILENO;
      terminal_.emplace(TRY(TerminalRelay::Open(STDIN_FILENO, output_fd)));
      TRY(terminal_->Begin());
    }
    std::int32_t* wanted[] = {&task.stdin_fd, &task.stdout_fd, &task.stderr_fd};
    for (int number : {0, 1, 2}) {
      if (::fcntl(number, F_GETFD) < 0) continue;  // closed: the task gets /dev/null
      int stream = terminal_ && ::isatty(number) == 1 ? terminal_->process_fd() : number;
      if (*wanted[number] >= 0) {
        fds.at(static_cast<std::size_t>(*wanted[number])) = stream;
        continue;
      }
      *wanted[number] = static_cast<std::int32_t>(fds.size());
      fds.push_back(stream);
    }
    task.controlling_terminal = terminal_.has_value();
    spec.fd_count = static_cast<std::uint32_t>(fds.size());
    return {};
  }

  bool Step() {
    pollfd fds[2 + TerminalRelay::kPolled] = {{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (terminal_) terminal_->Prepare(fds + 2);
    if (::poll(fds, terminal_ ? 2 + TerminalRelay::kPolled : 2, -1) < 0) return errno == EINTR;
    if (terminal_) terminal_->Handle(fds + 2);
    if (fds[1].revents != 0) ForwardSignals();
    if (fds[0].revents == 0) return true;
    auto message = ReceiveMessage(control_.get());
    if (!message) return false;
    auto handled = OnFrame(message->bytes);
    if (!handled) failed_ = InitFailed{125, handled.error().message};
    return handled && !alone_;
  }

  Result<> OnFrame(std::string_view bytes) {
    auto frame = TRY(SplitFrame<InitFrame>(bytes));
    switch (frame.kind) {
      case InitFrame::kReady: {
        auto ready = TRY(Decode<InitReady>(frame.payload, "ready frame"));
        if (run_.ready) run_.ready(entered_, ready);
        return {};
      }
      case InitFrame::kStarted:
        hooks_.Started();
        return {};
      case InitFrame::kHookPoint: {
        auto ran = hooks_.BeforeRoot(TRY(Decode<HookPoint>(frame.payload, "hook point")));
        if (!ran) control_.reset();  // the init's end: it waits for our word
        TRY(std::move(ran));
        return SendMessage(control_.get(), HooksRan());
      }
      case InitFrame::kExited: {
        auto exited = TRY(Decode<TaskExited>(frame.payload, "exit frame"));
        exited_ = ExitStatus{exited.wait_status};
        alone_ = exited.last;
        return {};
      }
      case InitFrame::kFailed: {
        failed_ = TRY(Decode<InitFailed>(frame.payload, "failure frame"));
        return {};
      }
      case InitFrame::kRefused: {
        failed_ = InitFailed{125, TRY(Decode<std::string>(frame.payload, "refusal frame"))};
        return {};
      }
      case InitFrame::kWarning: {
        run_.say(TRY(Decode<std::string>(frame.payload, "warning frame")));
        return {};
      }
      default:
        return Fail(Code::kInternal, "the container's init sent frame ", static_cast<int>(frame.kind));
    }
  }

  void ForwardSignals() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGWINCH) {
        if (terminal_) terminal_->Resize();
        continue;
      }
      last_signal_ = static_cast<int>(info.ssi_signo);
      // The terminal's own (Ctrl-C) reach every process of the foreground group, the task among them where it
      // is of our session.
      if (info.ssi_code == SI_KERNEL && entered_.way != Way::kBrokered) continue;
      [[maybe_unused]] auto gone =
          SendMessage(control_.get(), EncodeFrame(InitFrame::kSignal, TaskSignal{0, last_signal_}));
    }
  }

  static std::string HooksRan() {
    WireWriter frame;
    frame(static_cast<std::uint16_t>(InitFrame::kHooksRan));
    return frame.Take();
  }

  const ContainerRun& run_;
  OutsideHooks hooks_;
  Entered entered_;
  UniqueFd signals_, control_;
  std::optional<TerminalRelay> terminal_;
  std::optional<ExitStatus> exited_;
  bool alone_ = false;  // the init has said that nothing else is left
  std::optional<InitFailed> failed_;
  int last_signal_ = 0;
};

}  // namespace

int RunContainer(const ContainerRun& run, Entrance entrance) { return Driver(run).Run(std::move(entrance)); }

}  // namespace slipway
