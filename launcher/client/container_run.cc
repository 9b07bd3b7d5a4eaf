// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/container_run.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <optional>

#include "base/os/process.h"
#include "base/os/socket.h"
#include "launcher/client/outside_hooks.h"
#include "launcher/client/own_copy.h"

namespace slipway {
namespace {

constexpr int kForwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

class Driver {
 public:
  explicit Driver(const ContainerRun& run) : run_(run), hooks_(run.spec, run.say) {}

  int Run() {
    auto outcome = Start();
    if (!outcome) {
      control_.reset();
      if (!starter_ || !Refused(starter_.Wait())) run_.say(outcome.error().message);
      return 125;
    }
    while (Step()) {
    }
    // The starter's end is the end of everything in the container, the image's server included.
    auto ended = starter_.Wait();
    hooks_.Stopped();
    if (Refused(ended)) return 125;
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
  Result<> Start() {
    sigset_t forwarded;
    sigemptyset(&forwarded);
    for (int number : kForwarded) sigaddset(&forwarded, number);
    if (::sigprocmask(SIG_BLOCK, &forwarded, nullptr) < 0) return ErrnoFail("sigprocmask");
    signals_.reset(::signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return ErrnoFail("signalfd");
    StarterProcess started = TRY(SpawnStarter(run_.starter, run_.starter_arguments));
    starter_ = std::move(started.process);
    control_ = std::move(started.control);
    UniqueFd spec = TRY(MakeSealedMemfd("launch-spec", EncodeLaunchSpec(run_.spec)));
    TRY(SendMessage(control_.get(), EncodeFrame(InitFrame::kLaunch, LaunchRequest{}), {spec.get()}));
    constexpr std::size_t kPerMessage = 250;
    for (std::size_t start = 0; start < run_.fds.size(); start += kPerMessage) {
      WireWriter frame;
      frame(static_cast<std::uint16_t>(InitFrame::kFds));
      auto begin = run_.fds.begin() + static_cast<std::ptrdiff_t>(start);
      auto end = begin + static_cast<std::ptrdiff_t>(std::min(kPerMessage, run_.fds.size() - start));
      TRY(SendMessage(control_.get(), frame.Take(), {begin, end}));
    }
    return {};
  }

  static bool Refused(const Result<ExitStatus>& ended) {
    return ended && !ended->signaled() && ended->exit_code() == kStarterRefused;
  }

  bool Step() {
    pollfd fds[] = {{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) return errno == EINTR;
    if (fds[1].revents != 0) ForwardSignals();
    if (fds[0].revents == 0) return true;
    auto message = ReceiveMessage(control_.get());
    if (!message) return false;
    auto handled = OnFrame(message->bytes);
    if (!handled) failed_ = InitFailed{125, handled.error().message};
    return static_cast<bool>(handled);
  }

  Result<> OnFrame(std::string_view bytes) {
    auto frame = TRY(SplitFrame<InitFrame>(bytes));
    switch (frame.kind) {
      case InitFrame::kReady: {
        auto ready = TRY(Decode<InitReady>(frame.payload, "ready frame"));
        if (run_.ready) run_.ready(ready);
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
        exited_ = ExitStatus{TRY(Decode<TaskExited>(frame.payload, "exit frame")).wait_status};
        return {};
      }
      case InitFrame::kFailed: {
        failed_ = TRY(Decode<InitFailed>(frame.payload, "failure frame"));
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
      last_signal_ = static_cast<int>(info.ssi_signo);
      // The terminal's own (Ctrl-C) reach every process of the foreground group, the task among them.
      if (info.ssi_code == SI_KERNEL) continue;
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
  UniqueFd signals_, control_;
  Process starter_;
  std::optional<ExitStatus> exited_;
  std::optional<InitFailed> failed_;
  int last_signal_ = 0;
};

}  // namespace

Result<StarterProcess> SpawnStarter(const std::string& starter, const std::vector<std::string>& arguments) {
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  SpawnOptions options;
  options.argv = {starter, "3"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.fds = {{3, ends.b.get()}};
  UniqueFd copy = TRY(SealedCopyIfWritable(starter));
  if (copy) {
    options.argv[0] = "/proc/self/fd/4";
    options.fds.emplace_back(4, copy.get());
  }
  StarterProcess started;
  started.process = TRY(Spawn(options));
  started.control = std::move(ends.a);
  return started;
}

int RunContainer(const ContainerRun& run) { return Driver(run).Run(); }

Result<std::string> FindCompanion(const std::string& program) {
  char self[PATH_MAX];
  ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  if (n <= 0) return ErrnoFail("readlink", "/proc/self/exe");
  std::string folder(self, static_cast<std::size_t>(n));
  folder.resize(folder.rfind('/'));
  for (const std::string& path : {Cat(folder, "/", program), Cat(folder, "/../libexec/slipway/", program)}) {
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(Code::kNotFound, program, " is not installed: neither in ", folder, " nor in ", folder,
              "/../libexec/slipway");
}

}  // namespace slipway
