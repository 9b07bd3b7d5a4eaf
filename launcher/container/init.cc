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
#include "launcher/container/confine.h"
#include "launcher/container/environment.h"
#include "launcher/container/first_process.h"
#include "launcher/container/hook_stages.h"
#include "launcher/container/idmap.h"
#include "launcher/container/namespaces.h"
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
  bool idle = false;
  std::vector<UniqueFd> fds;
  std::vector<UniqueFd> task_cgroups;
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
  order.idle = request.idle;
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

Result<> BlockAllSignals() {
  // The init acts on frames and on SIGCHLD only; Ctrl-C is the tasks' affair, and must not end what waits for
  // them.
  sigset_t all;
  sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) < 0) return ErrnoFail("sigprocmask");
  return {};
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
  std::vector<FuseServer> servers;
};

Result<Standing> BuildContainer(const Birth& birth, const Order& order, Brought brought, Report& report) {
  const LaunchSpec& spec = order.spec;
  Standing standing;
  Confinement wanted = spec.confinement;
  BirthRules rules = birth.rules;
  if (!birth.own_namespace) TRY(SetCapabilities(birth.policy, wanted, rules));
  Confining confining = TRY(Confining::Prepare(wanted, rules));
  std::string hook_id = spec.hooks.empty() ? std::string() : HookId();
  if (spec.fakeroot && !birth.own_namespace)
    return Fail(Code::kPermissionDenied, "--fakeroot needs a user namespace of your own (--userns)");
  TRY(EnterFurtherNamespaces(spec));
  if (spec.explain) {
    for (std::string& line : DescribeMaps()) report.Fact(std::move(line));
    if (!birth.map_note.empty()) report.Fact(Cat("maps: ", birth.map_note));
  }
  standing.servers = TRY(BuildAndEnterTree(birth, spec, order.fds, std::move(brought), report)).servers;
  TRY(confining.Apply());
  report.EndLap("confinement");
  TRY(RunStartHooks(spec, hook_id));
  ::umask(spec.umask);
  return standing;
}

// The container stands: what is to run in it is started, and watched to the end.
[[noreturn]] void RunTasks(Order& order, const Environment& env, UniqueFd control, Report& report,
                           Supervised supervised) {
  std::string program;
  if (!order.idle) {
    auto found = FindProgram(order.spec.argv[0], Lookup(env, "PATH"));
    if (!found) report.Die(found.error().message, ExitCodeFor(found.error()));
    program = *found;
  }
  report.EndLap("program");
  if (!report.Send(InitFrame::kReady, InitReady{report.laps(), supervised.pid_namespace, report.facts()}))
    ::_exit(kExitOurs);
  auto added = AddedTasks::Make(order.spec, env, report);
  if (!added) report.Die(added.error().message);
  if (!order.idle) {
    auto tasks = StartTasks(order.spec, order.fds, program, env, order.task_cgroups, report);
    if (!tasks) report.Die(tasks.error().message);
    supervised.tasks = std::move(*tasks);
  }
  order.fds.clear();  // a pipe must end when its last task goes, not when we do
  order.task_cgroups.clear();
  supervised.control = std::move(control);
  supervised.added.emplace(std::move(*added));
  supervised.idle = order.idle;
  Supervise(std::move(supervised), report);
}

}  // namespace

void RunInit(const Birth& birth) {
  UniqueFd control(birth.control_fd);
  Report report(control.get());
  // The one who forked us may have had anything open: the other end of our socket (we would never see it
  // close), a database, another user's files.
  std::vector<int> keep = birth.task_cgroups;
  keep.push_back(control.get());
  if (auto closed = CloseAllBut(std::move(keep)); !closed) report.Die(closed.error().message);
  if (auto blocked = BlockAllSignals(); !blocked) report.Die(blocked.error().message);
  if (auto hidden = StayUndumpable(); !hidden) report.Die(hidden.error().message);
  auto order = ReceiveOrder(control.get());
  if (!order) report.Die(order.error().message);
  for (int fd : birth.task_cgroups) order->task_cgroups.emplace_back(fd);
  for (Mount& mount : ForcedBinds(birth.policy)) order->spec.mounts.push_back(std::move(mount));
  const LaunchSpec& spec = order->spec;
  if (auto allowed = JudgeLayers(birth.policy, spec); !allowed) report.Die(allowed.error().message);
  report.EndLap("receive");

  auto first = BecomeFirstProcess(birth, spec, order->fds);
  if (!first) report.Die(first.error().message);
  bool pid_namespace = first->pid_namespace;
  UniqueFd children_list;
  if (!pid_namespace) ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (auto list = Open("/proc/thread-self/children", O_RDONLY)) children_list = std::move(*list);
  report.EndLap("pid namespace");

  auto standing = BuildContainer(birth, *order, std::move(first->brought), report);
  if (!standing) report.Die(standing.error().message);
  if (auto app = CheckApp(spec.app); !app) report.Die(app.error().message);
  auto env =
      ConfinedEnvironment(spec.confinement, spec.env, {spec.image_environment, spec.app, control.get()});
  // From here on the closed socket tells of the front's end. Without a PID namespace a SIGKILL of ours would
  // leave the orphans that only we can still find.
  if (!pid_namespace) ::prctl(PR_SET_PDEATHSIG, 0);
  // Somebody wants this to end (Ctrl-C reaches the image's shell too): not the moment to start its command.
  if (!env && env.error().code == Code::kCancelled) report.Die(env.error().message);
  if (!env) {
    report.Warn(Cat("warning: ", env.error().message));
    env = ContainerEnvironment(spec.env, {.environment = false});
  }
  report.EndLap("environment");
  if (auto entered = EnterWorkingDirectory(spec, report); !entered) report.Die(entered.error().message);
  RunTasks(*order, *env, std::move(control), report,
           {.children_list = std::move(children_list),
            .servers = std::move(standing->servers),
            .pid_namespace = pid_namespace});
}

}  // namespace slipway
