// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/instance_keeper.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdlib>

#include "base/loop/epoll_loop.h"
#include "base/os/process.h"
#include "base/os/socket.h"
#include "base/text/text.h"
#include "launcher/client/container_run.h"
#include "launcher/client/launch_order.h"
#include "launcher/client/limits.h"
#include "launcher/client/outside_hooks.h"
#include "launcher/link/door.h"
#include "launcher/link/init_link.h"
#include "launcher/link/visitors.h"
#include "launcher/spec/task_order.h"

namespace slipway {
namespace {

constexpr std::uint32_t kFirstTask = INT32_MAX;  // visitors' numbers begin at the other end
constexpr std::size_t kFrameBytesMax = 64 << 10;
constexpr auto kAfterClose = std::chrono::seconds(5);
constexpr std::uint32_t kOwnGraceSeconds = 10;

class Keeper {
 public:
  Keeper(Loop& loop, InstancePlan plan, Entered entered, UniqueFd listener, UniqueFd front)
      : loop_(loop),
        plan_(std::move(plan)),
        entered_(std::move(entered)),
        front_(std::move(front)),
        init_(loop, std::move(entered_.control), InitEvents()),
        visitors_(loop, init_),
        door_(loop, std::move(listener), kFrameBytesMax, DoorEvents()) {}
  ~Keeper() {
    if (front_watched_) loop_.Unwatch(front_watch_);
    if (folder_) loop_.Unwatch(folder_watch_);
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  Result<> Begin() {
    TRY(init_.Start());
    // A command that is killed while it starts an instance leaves none.
    front_watch_ = TRY(loop_.Watch(front_.get(), EPOLLIN, [this](std::uint32_t) { OnFrontGone(); }));
    front_watched_ = true;
    return {};
  }

  // As by `slipway instance stop`.
  void Stop(int signal_number, std::uint32_t grace_s) {
    stopping_ = true;
    if (signal_number != 0) init_.Finish(signal_number);
    loop_.Cancel(stop_timer_);
    stop_timer_ = loop_.After(std::chrono::seconds(grace_s), [this] { Close(); });
  }

  InstanceClaim TakeClaim() { return std::move(plan_.claim); }

 private:
  InitLink::Events InitEvents() {
    return {
        .ready = [this](InitReady ready) { OnReady(ready); },
        .started = [](std::uint32_t) {},
        .exited = [](std::uint32_t, std::int32_t) {},
        .hook_point = [this](const HookPoint& point) { return OnHookPoint(point); },
        .added_started = [this](TaskStarted started) { visitors_.OnStarted(started); },
        .added_exited = [this](TaskExited exited) { OnExited(exited); },
        .added_failed = [this](TaskFailed failed) { OnFailed(failed); },
        .failed = [this](InitFailed failed) { Fail(failed); },
        .warning = [this](std::string line) { Warn(line); },
        .gone = [this](std::string) { loop_.Post([this] { OnInitGone(); }); },
    };
  }

  Door::Events DoorEvents() {
    return {
        .may_enter = [](const PeerIdentity& peer) { return peer.uid == ::geteuid(); },
        .opened = [this](Opening opening) { OnVisitor(std::move(opening)); },
    };
  }

  template <class T>
  void Tell(InitFrame kind, const T& payload) {
    if (!front_) return LogLine(payload);
    [[maybe_unused]] auto told = SendMessage(front_.get(), EncodeFrame(kind, payload));
  }
  void Fail(const InitFailed& failed) {
    told_failure_ = true;
    Tell(InitFrame::kFailed, failed);
  }
  std::string LastLogLine() const {
    std::string text(Trim(ReadFile(plan_.state.log_err, 64 << 10).value_or("")));
    text = text.substr(std::min(text.rfind('\n') + 1, text.size()));
    return text.empty() ? "the container ended without a word; was it killed?" : text.substr(0, 1024);
  }
  static void LogLine(const std::string& line) {
    [[maybe_unused]] auto written = WriteAll(STDERR_FILENO, Cat("slipway: ", Printable(line), "\n"));
  }
  static void LogLine(const InitFailed& failed) { LogLine(failed.message); }
  static void LogLine(const InstanceReady&) {}
  void Warn(const std::string& line) { Tell(InitFrame::kWarning, line); }

  Result<> OnHookPoint(const HookPoint& point) {
    auto ran = hooks_.BeforeRoot(point);
    if (!ran) Fail({.message = ran.error().message});
    return ran;
  }

  void OnReady(const InitReady& ready) {
    auto open = OpenDoor();
    if (!open) {
      Fail({.message = open.error().message});
      return Close();
    }
    RunFirst();
    hooks_.Started();
    Tell(InitFrame::kReady,
         InstanceReady{ready, static_cast<std::uint8_t>(entered_.way), entered_.passed_over});
    loop_.Unwatch(front_watch_);
    front_watched_ = false;
    front_.reset();
  }

  // The instance can be found from here on.
  Result<> OpenDoor() {
    plan_.state.keeper_pid = ::getpid();
    plan_.state.init_pid = InitPid();
    plan_.state.starter_pid = entered_.starter ? entered_.starter.pid() : entered_.init;
    TRY(door_.Start());
    TRY(WriteFileAtomically(InstanceStateFile(plan_.claim.folder), Encode(plan_.state), 0600));
    // Whoever removes the socket (a logout that clears /run/user does) makes the instance one that nobody can
    // reach or end any more.
    folder_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!folder_ || ::inotify_add_watch(folder_.get(), InstanceSocket(plan_.claim.folder).c_str(),
                                        IN_ATTRIB | IN_DELETE_SELF) < 0) {
      folder_.reset();
      return ErrnoFail("inotify", plan_.claim.folder);
    }
    folder_watch_ = TRY(loop_.Watch(folder_.get(), EPOLLIN, [this](std::uint32_t) { OnFolderChanged(); }));
    return {};
  }

  // A starter that makes a PID namespace only waits for its last child, the init (one before it may keep an
  // image that is written to); so does a setuid one for the child that it lets go.
  pid_t InitPid() const {
    pid_t pid = entered_.starter ? entered_.starter.pid() : entered_.init;
    int between = entered_.starter ? plan_.spec.pid_namespace + (entered_.way == Way::kSetuid) : 0;
    for (; between > 0; --between) {
      std::string children(Trim(ReadFile(Cat("/proc/", pid, "/task/", pid, "/children"), 64).value_or("")));
      long child = std::strtol(children.substr(children.rfind(' ') + 1).c_str(), nullptr, 10);
      if (child <= 0) break;
      pid = static_cast<pid_t>(child);
    }
    return pid;
  }

  void RunFirst() {
    TaskOrder order{.argv = plan_.first, .stdout_fd = 0, .stderr_fd = 1};
    auto send = [&]() -> Result<> {
      std::vector<UniqueFd> fds;
      fds.push_back(TRY(MakeSealedMemfd("task-order", Encode(order))));
      fds.push_back(TRY(Dup(STDOUT_FILENO)));
      fds.push_back(TRY(Dup(STDERR_FILENO)));
      init_.Add(kFirstTask, std::move(fds));
      return {};
    };
    if (auto sent = send(); !sent) Warn(sent.error().message);
  }

  void OnExited(const TaskExited& exited) {
    if (exited.task != kFirstTask) return visitors_.OnExited(exited);
    if (exited.wait_status != 0)
      LogLine(Cat(plan_.first[0], " ended with exit code ", ExitStatus{exited.wait_status}.exit_code()));
  }
  void OnFailed(const TaskFailed& failed) {
    if (failed.task != kFirstTask) return visitors_.OnFailed(failed);
    if (failed.exit_code != 127 || !plan_.first_optional) LogLine(failed.message);
  }

  void OnVisitor(Opening opening) {
    auto frame = SplitFrame<TaskFrame>(opening.frame);
    if (frame && frame->kind == TaskFrame::kRun) {
      if (stopping_) return Visitors::TurnAway(opening, "the instance is being stopped");
      return visitors_.Admit(std::move(opening));
    }
    auto stop =
        frame && frame->kind == TaskFrame::kStop
            ? Decode<InstanceStop>(frame->payload, "stop")
            : Result<InstanceStop>(slipway::Fail(Code::kInvalidArgument, "a frame that is not known"));
    if (stop && (stop->version != 1 || stop->signal_number < 0 || stop->signal_number > 64))
      stop = slipway::Fail(Code::kInvalidArgument, "stop: malformed");
    if (!stop) return Visitors::TurnAway(opening, stop.error().message);
    stoppers_.push_back(std::move(opening.socket));  // closed by our end
    Stop(stop->signal_number, stop->grace_s);
  }

  void OnFrontGone() {
    loop_.Unwatch(front_watch_);
    front_watched_ = false;
    Close();
  }

  void OnFolderChanged() {
    char events[4096];
    while (::read(folder_.get(), events, sizeof events) > 0) {
    }
    if (stopping_ || ::access(InstanceSocket(plan_.claim.folder).c_str(), F_OK) == 0) return;
    LogLine(Cat(plan_.claim.folder, " was removed: the instance ends, as nobody can reach it any more"));
    Stop(SIGTERM, kOwnGraceSeconds);
  }

  void Close() {
    init_.Close("stopped");
    // One that does not go (it is stopped, or in the kernel) is made to.
    stop_timer_ = loop_.After(kAfterClose, [this] {
      if (entered_.starter) [[maybe_unused]]
        auto killed = entered_.starter.Signal(SIGKILL);
      if (entered_.broker) ::shutdown(entered_.broker.get(), SHUT_RDWR);  // it kills whom nobody holds
    });
  }

  void OnInitGone() {
    stopping_ = true;
    visitors_.OnInitGone();
    // The starter says what it will not do on its stderr, which is our log.
    if (front_ && !told_failure_) Tell(InitFrame::kFailed, InitFailed{.message = LastLogLine()});
    int end = entered_.starter ? entered_.starter.pidfd() : entered_.broker.get();
    auto watch = loop_.Watch(end, EPOLLIN, [this](std::uint32_t) {
      if (entered_.starter) [[maybe_unused]]
        auto reaped = entered_.starter.Wait();
      hooks_.Stopped();
      loop_.Stop();
    });
    if (!watch) loop_.Stop();
  }

  Loop& loop_;
  InstancePlan plan_;
  std::function<void(const std::string&)> say_ = [this](const std::string& line) { Warn(line); };
  OutsideHooks hooks_{plan_.spec, say_};
  Entered entered_;
  UniqueFd front_, folder_;
  InitLink init_;
  Visitors visitors_;
  Door door_;
  std::vector<UniqueFd> stoppers_;
  Loop::WatchId front_watch_, folder_watch_;
  Loop::TimerId stop_timer_;
  bool front_watched_ = false, stopping_ = false, told_failure_ = false;
};

Result<> Detach(const InstanceState& state) {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, "slipway-keeper");
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd null = TRY(Open("/dev/null", O_RDONLY));
  UniqueFd out = TRY(Open(state.log_out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
  UniqueFd err = TRY(Open(state.log_err, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
  if (::dup2(null.get(), 0) < 0 || ::dup2(out.get(), 1) < 0 || ::dup2(err.get(), 2) < 0)
    return ErrnoFail("dup2");
  if (::chdir("/") < 0) return ErrnoFail("chdir", "/");
  return {};
}

Result<> Keep(InstancePlan& plan, UniqueFd& front) {
  TRY(Detach(plan.state));
  plan.state.cgroup = TRY(EnterScope(plan.limits, ::getpid()));
  auto loop = TRY(EpollLoop::Make());
  UniqueFd listener = TRY(ListenUnix(InstanceSocket(plan.claim.folder), SOCK_STREAM, 0600));
  std::unique_ptr<Keeper> keeper;
  // Before any signal is blocked, which a starter would inherit.
  Entered entered = TRY(TRY(Entrance::Begin(plan.way)).Await([&](const Entered& begun) {
    return SendLaunch(begun.control.get(), plan.spec, plan.fds, true);
  }));
  TRY(loop->WatchSignals({SIGTERM, SIGINT, SIGHUP}, [&](int) { keeper->Stop(SIGTERM, kOwnGraceSeconds); }));
  keeper = std::make_unique<Keeper>(*loop, std::move(plan), std::move(entered), std::move(listener),
                                    std::move(front));
  auto begun = keeper->Begin();
  if (begun) loop->Run();
  plan.claim = keeper->TakeClaim();
  if (begun) ReleaseInstance(std::move(plan.claim));  // before those who wait for it see our end
  return begun;
}

[[noreturn]] void BecomeKeeper(InstancePlan plan, UniqueFd front) {
  std::vector<int> used = plan.fds;
  used.insert(used.end(), {plan.claim.lock.get(), front.get()});
  if (!CloseAllBut(std::move(used))) ::_exit(125);  // a pipe that its caller had open would never end
  auto copy = Dup(front.get());                     // closes behind everything else
  if (!copy) ::_exit(125);
  auto kept = Keep(plan, front);
  if (kept) ::_exit(0);
  [[maybe_unused]] auto told =
      SendMessage(copy->get(), EncodeFrame(InitFrame::kFailed, InitFailed{.message = kept.error().message}));
  ReleaseInstance(std::move(plan.claim));
  ::_exit(125);
}

// The keeper is nobody's child: it outlives its starter and is reaped by the system's init.
Result<> ForkKeeper(InstancePlan& plan, UniqueFd front) {
  Process between = TRY(Clone3({}));
  if (!between) {
    ::setsid();
    pid_t keeper = ::fork();
    if (keeper != 0) ::_exit(keeper < 0 ? 1 : 0);
    BecomeKeeper(std::move(plan), std::move(front));
  }
  auto status = TRY(between.Wait());
  if (status.wait_status != 0)
    return Fail(Code::kResourceExhausted, "the instance's keeper cannot be forked");
  return {};
}

}  // namespace

Result<InstanceReady> StartInstance(InstancePlan plan, const std::function<void(const std::string&)>& say,
                                    int& exit_code) {
  exit_code = 125;
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  TRY(ForkKeeper(plan, std::move(ends.b)));
  plan.claim.lock.reset();
  for (;;) {
    auto message = ReceiveMessage(ends.a.get());
    if (!message)
      return Fail(Code::kInternal, "instance ", plan.claim.name,
                  ": its keeper ended without a word; was it killed?");
    auto frame = TRY(SplitFrame<InitFrame>(message->bytes));
    if (frame.kind == InitFrame::kReady) return Decode<InstanceReady>(frame.payload, "ready");
    if (frame.kind == InitFrame::kFailed) {
      auto failed = TRY(Decode<InitFailed>(frame.payload, "failed"));
      exit_code = failed.exit_code;
      // Its last act frees the name; then the socket closes.
      while (ReceiveMessage(ends.a.get())) {
      }
      return Fail(Code::kFailedPrecondition, failed.message);
    }
    if (frame.kind == InitFrame::kWarning) say(TRY(Decode<std::string>(frame.payload, "warning")));
  }
}

}  // namespace slipway
