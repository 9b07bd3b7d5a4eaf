// SPDX-License-Identifier: Apache-2.0
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <map>

#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/socket.h"
#include "cli/dev/namespaces.h"
#include "cli/dev/restart.h"
#include "cli/dev/supervisor.h"

namespace slipway::dev {
namespace {

using std::chrono::milliseconds;
constexpr Duration kLookAgain = milliseconds(10), kPatiencePerStage = std::chrono::seconds(3);
constexpr int kStages = 3;

class Supervisor {
 public:
  Supervisor(EpollLoop& loop, const Layout& layout, int registrar)
      : loop_(loop), layout_(layout), registrar_(registrar) {}

  Result<> MakeNodes(const Options& options) {
    TRY(MakeBridge());
    NodeShape shape;
    shape.hosts_file = layout_.hosts();
    shape.keep = options.share;
    for (unsigned k = 1; k <= options.nodes; ++k) {
      shape.host_name = NodeName(k);
      nodes_.push_back(TRY(MakeNode(shape)));
      TRY_CONTEXT(PlugIn(nodes_.back(), k), NodeName(k));
    }
    return {};
  }

  void Run(std::vector<DaemonSpec> specs) {
    for (DaemonSpec& spec : specs) daemons_.push_back({std::move(spec)});
    for (std::size_t i = 0; i < daemons_.size(); ++i) Start(i);
  }

  void Reap() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      auto at = by_pid_.find(pid);
      if (at == by_pid_.end()) continue;  // an orphan of some step
      std::size_t index = at->second;
      by_pid_.erase(at);
      Died(index, ExitStatus{status});
    }
  }

  void End() {
    if (std::exchange(ending_, true)) return;
    Log(Level::kInfo, "ending");
    EndStage(0);
  }

 private:
  struct Daemon {
    DaemonSpec spec;
    Process process;
    MonotonicTime started{}, waiting_since{};
    RestartPolicy policy;
  };

  void Start(std::size_t index) {
    Daemon& daemon = daemons_[index];
    if (ending_) return;
    if (!daemon.spec.wait_for.empty() && ::access(daemon.spec.wait_for.c_str(), F_OK) < 0) {
      if (daemon.waiting_since == MonotonicTime{}) daemon.waiting_since = loop_.Now();
      loop_.After(kLookAgain, [this, index] { Start(index); });
      return;
    }
    const NodeNamespaces& where = daemon.spec.node == 0 ? kHere : nodes_[daemon.spec.node - 1];
    auto process =
        StartIn(where, {daemon.spec.argv, layout_.log(daemon.spec.name), daemon.spec.uid, daemon.spec.gid});
    if (!process) {
      Log(Level::kError, "daemon does not start",
          {{"daemon", daemon.spec.name}, {"error", process.error().message}});
      loop_.After(daemon.policy.AfterDeath(Duration::zero()) + milliseconds(100),
                  [this, index] { Start(index); });
      return;
    }
    daemon.process = std::move(*process);
    daemon.started = loop_.Now();
    by_pid_[daemon.process.pid()] = index;
    Log(Level::kInfo, "daemon started", {{"daemon", daemon.spec.name}, {"pid", daemon.process.pid()}});
    if (auto told = SendMessage(registrar_, daemon.spec.name, {daemon.process.pidfd()}); !told) {
      Log(Level::kError, "pid file not written",
          {{"daemon", daemon.spec.name}, {"error", told.error().message}});
    }
  }

  void Died(std::size_t index, ExitStatus status) {
    Daemon& daemon = daemons_[index];
    daemon.process = Process();
    if (ending_) {
      if (StageEnded(stage_)) EndStage(stage_ + 1);
      return;
    }
    Duration wait = daemon.policy.AfterDeath(loop_.Now() - daemon.started);
    Log(Level::kWarn, "daemon died",
        {{"daemon", daemon.spec.name},
         {"exit_code", status.exit_code()},
         {"restart_ms", std::chrono::duration_cast<milliseconds>(wait).count()}});
    if (wait == Duration::zero()) return Start(index);
    loop_.After(wait, [this, index] { Start(index); });
  }

  bool StageEnded(int stage) const {
    for (const Daemon& daemon : daemons_) {
      if (daemon.spec.stage == stage && daemon.process) return false;
    }
    return true;
  }

  // Agents and slipwayd first, so that none of them sees a broker vanish; a daemon that will not end is not
  // waited for.
  void EndStage(int stage) {
    loop_.Cancel(impatience_);
    if (stage >= kStages) return loop_.Stop();
    stage_ = stage;
    if (StageEnded(stage)) return EndStage(stage + 1);
    for (Daemon& daemon : daemons_) {
      if (daemon.spec.stage == stage && daemon.process) [[maybe_unused]]
        auto sent = daemon.process.Signal(SIGTERM);
    }
    impatience_ = loop_.After(kPatiencePerStage, [this, stage] { EndStage(stage + 1); });
  }

  EpollLoop& loop_;
  const Layout& layout_;
  int registrar_;
  std::vector<NodeNamespaces> nodes_;
  std::vector<Daemon> daemons_;
  std::map<pid_t, std::size_t> by_pid_;
  bool ending_ = false;
  int stage_ = 0;
  Loop::TimerId impatience_;
};

// Where there is no PID namespace of our own, orphans of the cluster become our children (subreaper) and are
// ended one by one until none is left.
void EndOrphans() {
  if (::getpid() == 1) return;
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    auto children = ReadFile(Cat("/proc/self/task/", ::getpid(), "/children"), 1 << 20);
    if (!children || children->empty()) return;
    const char* at = children->c_str();
    char* end = nullptr;
    for (long pid; (pid = ::strtol(at, &end, 10)) > 0 && end != at; at = end)
      ::kill(static_cast<pid_t>(pid), SIGKILL);
    if (::waitpid(-1, nullptr, 0) < 0) return;
  }
}

Result<> FurnishInside() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0) return ErrnoFail("make / slave");
  if (::getpid() == 1 && ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0)
    return ErrnoFail("mount /proc");
  return {};
}

}  // namespace

void RunInside(const Layout& layout, const Options& options, const Identities& who, int registrar,
               UniqueFd report_fd) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto run = [&]() -> Result<> {
    TRY(FurnishInside());
    auto loop = TRY(EpollLoop::Make());
    Supervisor supervisor(*loop, layout, registrar);
    TRY(loop->WatchSignals({SIGCHLD, SIGTERM, SIGINT}, [&](int signal_number) {
      if (signal_number == SIGCHLD) return supervisor.Reap();
      supervisor.End();
    }));
    TRY(supervisor.MakeNodes(options));
    if (options.daemons) supervisor.Run(Daemons(layout, options, who));
    TRY(WriteAll(report_fd.get(), "ok"));
    report_fd.reset();
    loop->Run();
    return {};
  };
  auto ran = run();
  if (!ran) {
    Log(Level::kError, "supervisor failed", {{"error", ran.error().message}});
    if (report_fd) [[maybe_unused]]
      auto told = WriteAll(report_fd.get(), ran.error().message);
  }
  EndOrphans();
  ::_exit(ran ? 0 : 1);
}

}  // namespace slipway::dev
