// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/supervisor.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <csignal>

#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/socket.h"
#include "base/text/text.h"
#include "cli/dev/delegation.h"
#include "cli/dev/namespaces.h"

namespace slipway::dev {
namespace {

void AddBroker(std::vector<DaemonSpec>& daemons, const Layout& layout, const std::string& prefix, int node,
               const std::string& folder) {
  std::string conf = folder + "/starter.conf";
  daemons.push_back(
      {prefix + "-holder", node, {layout.bin() + "/slipway-holder", "--config", conf}, "", 0, 0, 2});
  daemons.push_back({prefix + "-broker",
                     node,
                     {layout.bin() + "/slipway-broker", "--config", conf},
                     folder + "/run/holder.sock",
                     0,
                     0,
                     1});
}

// The host's pid of the process that the pidfd is for: procfs translates it for its reader.
std::string PidOf(int pidfd) {
  auto info = ReadFile(Cat("/proc/self/fdinfo/", pidfd), 4096);
  if (!info) return {};
  for (const std::string& line : Split(*info, '\n')) {
    if (line.starts_with("Pid:")) return std::string(Trim(std::string_view(line).substr(4)));
  }
  return {};
}

void RegisterOne(const Layout& layout, int registrar) {
  auto message = ReceiveMessage(registrar);
  if (!message || message->fds.size() != 1) return;
  std::string pid = PidOf(message->fds[0].get());
  if (pid.empty()) return;
  auto written = WriteFileAtomically(layout.pid_file(message->bytes), pid + "\n");
  if (!written)
    Log(Level::kError, "pid file not written",
        {{"daemon", message->bytes}, {"error", written.error().message}});
}

Result<UniqueFd> TakeLock(const Layout& layout) {
  UniqueFd lock = TRY(Open(layout.lock(), O_RDWR | O_CREAT, 0644));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0)
    return Fail(Code::kAlreadyExists, "cluster '", layout.name, "' is running already");
  return lock;
}

// Writes pid files and passes SIGTERM on until the inside has ended.
Result<> Attend(const Layout& layout, Process& inside, int registrar) {
  auto loop = TRY(EpollLoop::Make());
  TRY(loop->WatchSignals({SIGTERM, SIGINT},
                         [&](int) { [[maybe_unused]] auto sent = inside.Signal(SIGTERM); }));
  TRY(loop->Watch(registrar, EPOLLIN, [&](std::uint32_t events) {
    if ((events & EPOLLIN) != 0) RegisterOne(layout, registrar);
  }));
  TRY(loop->Watch(inside.pidfd(), EPOLLIN, [&](std::uint32_t) { loop->Stop(); }));
  loop->Run();
  ExitStatus status = TRY(inside.Wait());
  if (status.wait_status != 0)
    return Fail(Code::kInternal, "the supervisor ended with code ", status.exit_code());
  return {};
}

}  // namespace

std::vector<DaemonSpec> Daemons(const Layout& layout, const Options& options, const Identities& who) {
  std::vector<DaemonSpec> daemons;
  std::string broker = layout.controller() + "/broker";
  AddBroker(daemons, layout, "controller", 0, broker);
  uid_t uid = who.rootless ? 0 : who.daemon_uid;
  gid_t gid = who.rootless ? 0 : who.daemon_gid;
  daemons.push_back({"slipwayd",
                     0,
                     {layout.bin() + "/slipwayd", "--config", layout.controller() + "/slipway.toml"},
                     broker + "/run/broker.sock",
                     uid,
                     gid,
                     0});
  for (unsigned k = 1; k <= options.nodes; ++k) {
    std::string name = NodeName(k), folder = layout.node(name);
    AddBroker(daemons, layout, name, static_cast<int>(k), folder);
    daemons.push_back({name + "-agent",
                       static_cast<int>(k),
                       {layout.bin() + "/slipway-agent", "--config", folder + "/slipway.toml"},
                       folder + "/run/broker.sock",
                       uid,
                       gid,
                       0});
  }
  return daemons;
}

Result<> Supervise(const Layout& layout, const Options& options, const Identities& who, UniqueFd report_fd) {
  auto begin = [&]() -> Result<Process> {
    UniqueFd lock = TRY(TakeLock(layout));
    TRY(WriteFileAtomically(layout.state + "/supervisor.pid", Cat(::getpid(), "\n")));
    if (who.systemd) {
      if (auto entered = EnterDelegation(); !entered)
        Log(Level::kWarn, "the limits of jobs may not hold", {{"error", entered.error().message}});
    }
    if (who.rootless) TRY(EnterUserNamespace());
    SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
    bool own_pids = CanMountProc();
    if (!own_pids) Log(Level::kWarn, "no PID namespace: /proc of this host is masked");
    std::uint64_t flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | (own_pids ? CLONE_NEWPID : 0);
    Process inside = TRY(Clone3({.flags = flags}));
    if (!inside) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      RunInside(layout, options, who, ends.b.get(), std::move(report_fd));
    }
    ends.b.reset();
    // Held by both processes from here on, and let go by the last of them.
    [[maybe_unused]] int held = lock.release();
    report_fd.reset();
    TRY(Attend(layout, inside, ends.a.get()));
    return inside;
  };
  auto done = begin();
  if (!done && report_fd) [[maybe_unused]]
    auto told = WriteAll(report_fd.get(), done.error().message);
  if (!done) return Failure(std::move(done).error());
  return {};
}

}  // namespace slipway::dev
