// SPDX-License-Identifier: Apache-2.0
// One init per step: it builds the container once, forks every task from there, and is PID 1 so that its end
// is the end of everything inside. It never execs, so no image can take its place, and nobody may trace it.
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/os/mount.h"
#include "base/os/process.h"
#include "base/os/socket.h"
#include "launcher/container/birth.h"
#include "launcher/container/environment.h"
#include "launcher/container/policy.h"
#include "launcher/container/privilege.h"
#include "launcher/container/program.h"
#include "launcher/container/report.h"
#include "launcher/container/root.h"
#include "launcher/container/supervisor.h"
#include "launcher/container/tasks.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {
namespace {

struct Order {
  LaunchSpec spec;
  std::vector<UniqueFd> fds;
};

Result<Order> ReceiveOrder(int control_fd) {
  Message launch = TRY(ReceiveMessage(control_fd));
  auto frame = TRY(SplitFrame<InitFrame>(launch.bytes));
  if (frame.kind != InitFrame::kLaunch || launch.fds.size() != 1)
    return Fail(Code::kInvalidArgument, "the first frame must be a launch with one descriptor");
  auto request = TRY(Decode<LaunchRequest>(frame.payload, "launch request"));
  if (request.version != 1)
    return Fail(Code::kInvalidArgument, "launch request of version ", request.version,
                ", this program reads 1");
  std::string bytes = TRY(ReadSealedMemfd(launch.fds[0].get(), kLaunchSpecBytesMax));
  Order order;
  order.spec = TRY(DecodeLaunchSpec(bytes));
  while (order.fds.size() < order.spec.fd_count) {
    Message more = TRY(ReceiveMessage(control_fd));
    auto fds_frame = TRY(SplitFrame<InitFrame>(more.bytes));
    if (fds_frame.kind != InitFrame::kFds || more.fds.empty() ||
        more.fds.size() > order.spec.fd_count - order.fds.size()) {
      return Fail(Code::kInvalidArgument, "the launch spec names ", order.spec.fd_count,
                  " descriptors, others came");
    }
    for (UniqueFd& fd : more.fds) order.fds.push_back(std::move(fd));
  }
  return order;
}

void BlockAllSignals() {
  // The init acts on frames and on SIGCHLD only; Ctrl-C is the tasks' affair, and must not end what waits for
  // them.
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

// The one who forked us may have had anything open: the other end of our socket (we would never see it
// close), a database, another user's files.
void CloseAllBut(int kept_fd) {
  if (kept_fd > 3) ::syscall(SYS_close_range, 3U, static_cast<unsigned>(kept_fd) - 1, 0U);
  ::syscall(SYS_close_range, static_cast<unsigned>(kept_fd) + 1, ~0U, 0U);
}

bool Wants(const LaunchSpec& spec, Mount::Type type) {
  for (const Mount& mount : spec.mounts) {
    if (mount.type == type) return true;
  }
  return false;
}

// The process that stays outside of a PID namespace only waits for its init and says how that ended.
[[noreturn]] void WaitOutside(Process& init) {
  ::syscall(SYS_close_range, 0U, static_cast<unsigned>(init.pidfd()) - 1, 0U);
  ::syscall(SYS_close_range, static_cast<unsigned>(init.pidfd()) + 1, ~0U, 0U);
  auto status = init.Wait();
  ::_exit(status ? status->exit_code() : kExitOurs);
}

// True in the new namespace's PID 1, with its procfs; false in the same process when there can be no such
// namespace: without a /proc of its own it would show the wrong processes.
Result<bool> EnterPidNamespace(const LaunchSpec& spec, UniqueFd& fresh_proc) {
  PipeEnds stands = TRY(MakePipe());
  auto cloned = Clone3({.flags = CLONE_NEWPID});
  if (!cloned) return false;
  if (!*cloned) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (Wants(spec, Mount::kProc)) {
      auto proc = MountNew("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
      if (!proc) ::_exit(0);
      fresh_proc = std::move(*proc);
    }
    if (::write(stands.write.get(), "y", 1) != 1) ::_exit(kExitOurs);
    return true;
  }
  stands.write.reset();
  char answer = 0;
  ssize_t n;
  do {
    n = ::read(stands.read.get(), &answer, 1);
  } while (n < 0 && errno == EINTR);
  if (n == 1) WaitOutside(*cloned);
  TRY(cloned->Wait());
  return false;
}

Result<> EnterWorkingDirectory(const LaunchSpec& spec, Report& report) {
  if (spec.cwd.empty() || spec.cwd == "/" || ::chdir(spec.cwd.c_str()) == 0) return {};
  report.Warn(Cat("warning: the working directory ", spec.cwd, " is not to be had in the container (",
                  ::strerrordesc_np(errno), "); using /"));
  if (::chdir("/") < 0) return ErrnoFail("chdir", "/");
  return {};
}

struct Standing {
  Environment env;
  std::string program;
  pid_t image_server = -1;
};

Result<Standing> BuildContainer(const Birth& birth, const Order& order, UniqueFd fresh_proc, Report& report) {
  const LaunchSpec& spec = order.spec;
  Standing standing;
  if (!spec.hostname.empty()) {
    if (::unshare(CLONE_NEWUTS) < 0)
      return ErrnoFail("making a UTS namespace for the host name", spec.hostname);
    if (::sethostname(spec.hostname.c_str(), spec.hostname.size()) < 0)
      return ErrnoFail("sethostname", spec.hostname);
  }
  standing.image_server =
      TRY(BuildAndEnterTree(birth, spec, order.fds, std::move(fresh_proc), report)).image_server;
  TRY(DropAllPrivilege());
  ::umask(spec.umask);
  return standing;
}

}  // namespace

void RunInit(const Birth& birth) {
  UniqueFd control(birth.control_fd);
  Report report(control.get());
  CloseAllBut(control.get());
  BlockAllSignals();
  if (auto hidden = StayUndumpable(); !hidden) report.Die(hidden.error().message);
  auto order = ReceiveOrder(control.get());
  if (!order) report.Die(order.error().message);
  for (Mount& mount : ForcedBinds(birth.policy)) order->spec.mounts.push_back(std::move(mount));
  const LaunchSpec& spec = order->spec;
  if (auto allowed = JudgeLayers(birth.policy, spec); !allowed) report.Die(allowed.error().message);
  report.EndLap("receive");

  UniqueFd fresh_proc;
  bool pid_namespace = false;
  if (spec.pid_namespace && !birth.proc_masked) {
    auto entered = EnterPidNamespace(spec, fresh_proc);
    if (!entered) report.Die(entered.error().message);
    pid_namespace = *entered;
  }
  UniqueFd children_list;
  if (!pid_namespace) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (auto list = Open("/proc/thread-self/children", O_RDONLY)) children_list = std::move(*list);
  }
  report.EndLap("pid namespace");

  auto standing = BuildContainer(birth, *order, std::move(fresh_proc), report);
  if (!standing) report.Die(standing.error().message);
  auto env = ContainerEnvironment(spec.env, spec.image_environment, control.get());
  // From here on the closed socket tells of the front's end. Without a PID namespace a SIGKILL of ours would
  // leave the orphans that only we can still find.
  if (!pid_namespace) ::prctl(PR_SET_PDEATHSIG, 0);
  // Somebody wants this to end (Ctrl-C reaches the image's shell too): not the moment to start its command.
  if (!env && env.error().code == Code::kCancelled) report.Die(env.error().message);
  if (!env) {
    report.Warn(Cat("warning: ", env.error().message));
    env = ContainerEnvironment(spec.env, false);
  }
  report.EndLap("environment");
  if (auto entered = EnterWorkingDirectory(spec, report); !entered) report.Die(entered.error().message);
  auto program = FindProgram(spec.argv[0], Lookup(*env, "PATH"));
  if (!program) report.Die(program.error().message, ExitCodeFor(program.error()));
  report.EndLap("program");

  if (!report.Send(InitFrame::kReady, InitReady{report.laps(), pid_namespace})) ::_exit(kExitOurs);
  auto tasks = StartTasks(spec, order->fds, *program, *env, report);
  if (!tasks) report.Die(tasks.error().message);
  order->fds.clear();  // a pipe must end when its last task goes, not when we do
  Supervise({.control = std::move(control),
             .tasks = std::move(*tasks),
             .program = *program,

             .children_list = std::move(children_list),
             .image_server = standing->image_server,
             .pid_namespace = pid_namespace},
            report);
}

}  // namespace slipway
