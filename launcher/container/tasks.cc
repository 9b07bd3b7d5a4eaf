// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/tasks.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/os/process.h"
#include "base/os/signals.h"
#include "base/os/socket.h"
#include "launcher/container/program.h"
#include "launcher/container/seccomp.h"

namespace slipway {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

class TaskStarter {
 public:
  TaskStarter(const LaunchSpec& spec, const std::vector<UniqueFd>& fds, const std::string& program,
              const Environment& env, int failure_fd)
      : spec_(spec),
        fds_(fds),
        program_(program),
        env_(env),
        failure_fd_(failure_fd),
        argv_(Pointers(spec.argv)),
        envp_(Pointers(env)) {}

  // `number`: what it is called in a failure. `cgroup_fd`: -1 where it stays in ours.
  [[noreturn]] void Become(std::uint32_t index, std::uint32_t number, int cgroup_fd) {
    number_ = number;
    const Task& task = spec_.tasks[index];
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cgroup_fd >= 0) Enter(cgroup_fd);
    if (!task.cpus.empty()) SetAffinity(task);
    if (auto set = SetResourceLimits(spec_.resource_limits); !set)
      FailTask(number_, kExitOurs, set.error().message, failure_fd_);
    task.own_terminal ? MakeTerminal(task) : PlaceStdio(task);
    bool terminal = task.own_terminal || task.controlling_terminal;
    if (terminal && (::setsid() < 0 || ::ioctl(0, TIOCSCTTY, 0) < 0)) Fail("controlling terminal");
    if (::syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0) Fail("close_range");
    UnblockSignals();
    std::vector<char*> merged = envp_;
    if (!task.env.empty() || task.kept_fd >= 0) merged = Merge(task.env, Keep(task));
    if (spec_.confinement.filter == Confinement::kGiven && !InstallFilter(spec_.confinement.bpf))
      Fail("seccomp filter");
    ::execve(program_.c_str(), argv_.data(), merged.data());
    if (errno == ENOEXEC && LooksLikeText()) {  // a script without "#!": the shell's, as execvp has it
      std::vector<char*> shell = argv_;
      shell[0] = const_cast<char*>(program_.c_str());
      shell.insert(shell.begin(), const_cast<char*>("/bin/sh"));
      ::execve("/bin/sh", shell.data(), merged.data());
      errno = ENOEXEC;
    }
    Fail("exec");
  }

 private:
  [[noreturn]] void Fail(const char* stage) {
    bool at_exec = std::string_view(stage) == "exec";
    Error error = at_exec ? ExecError(program_, errno) : ErrnoErrorOf(errno, stage);
    FailTask(number_, at_exec ? ExitCodeFor(error) : kExitOurs, error.message, failure_fd_);
  }

  // Not by CLONE_INTO_CGROUP: the filter that confines us refuses clone3, whose flags it could not see.
  void Enter(int cgroup_fd) {
    int procs = ::openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (procs < 0 || ::write(procs, "0", 1) != 1) Fail("the rank's own cgroup");
    ::close(procs);
  }

  void SetAffinity(const Task& task) {
    constexpr int kProcessorsMax = 8192;
    cpu_set_t* set = CPU_ALLOC(kProcessorsMax);
    std::size_t bytes = CPU_ALLOC_SIZE(kProcessorsMax);
    CPU_ZERO_S(bytes, set);
    for (std::uint32_t cpu : task.cpus) CPU_SET_S(cpu, bytes, set);
    if (::sched_setaffinity(0, bytes, set) < 0) Fail("cpu affinity");
    CPU_FREE(set);
  }

  void PlaceStdio(const Task& task) {
    int null_fd = -1;
    if (task.stdin_fd < 0 && (null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) null_fd = -2;
    const std::int32_t wanted[3] = {task.stdin_fd, task.stdout_fd, task.stderr_fd};
    for (int number = 0; number < 3; ++number) {
      int from = wanted[number] >= 0 ? fds_[static_cast<std::size_t>(wanted[number])].get()
                 : number == 0       ? null_fd
                                     : -1;
      if (from == -2) ::close(0);  // an image without /dev/null and no /dev asked for
      if (from >= 0 && ::dup2(from, number) < 0) Fail("standard streams");
    }
  }

  // Only a process of the container's own sees its /dev/pts, so the rank makes its terminal itself.
  void MakeTerminal(const Task& task) {
    int outer = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (outer < 0 || ::unlockpt(outer) < 0) Fail("a terminal of the container's /dev/pts");
    int inner = ::ioctl(outer, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    winsize size{.ws_row = task.terminal_size.rows, .ws_col = task.terminal_size.columns};
    if (inner < 0 || ::ioctl(inner, TIOCSWINSZ, &size) < 0) Fail("the rank's terminal");
    auto sent = SendMessage(fds_[static_cast<std::size_t>(task.stdin_fd)].get(), "terminal", {outer});
    if (!sent) FailTask(number_, kExitOurs, sent.error().message, failure_fd_);
    for (int number = 0; number < 3; ++number) {
      if (::dup2(inner, number) < 0) Fail("standard streams");
    }
  }

  // NAME=number of the descriptor that stays open over the exec; empty when there is none.
  std::string Keep(const Task& task) {
    if (task.kept_fd < 0) return {};
    int fd = fds_[static_cast<std::size_t>(task.kept_fd)].get();
    if (::fcntl(fd, F_SETFD, 0) < 0) Fail("kept descriptor");
    return Cat(task.kept_fd_variable, "=", fd);
  }

  std::vector<char*> Merge(const std::vector<std::string>& own, const std::string& kept) {
    merged_env_ = env_;
    auto set = [&](std::string_view entry) {
      auto equals = entry.find('=');
      SetVariable(merged_env_, entry.substr(0, equals), entry.substr(equals + 1));
    };
    for (const std::string& entry : own) set(entry);
    if (!kept.empty()) set(kept);
    return Pointers(merged_env_);
  }

  bool LooksLikeText() const {
    char bytes[128];
    int fd = ::open(program_.c_str(), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : ::read(fd, bytes, sizeof bytes);
    return n > 0 && std::memchr(bytes, 0, static_cast<std::size_t>(n)) == nullptr;
  }

  const LaunchSpec& spec_;
  const std::vector<UniqueFd>& fds_;
  const std::string& program_;
  const Environment& env_;
  int failure_fd_;
  std::uint32_t number_ = 0;
  std::vector<char*> argv_, envp_;
  Environment merged_env_;
};

}  // namespace

void FailTask(std::uint32_t task, int exit_code, const std::string& line, int failure_fd) {
  TaskFailure failure{.task = task, .exit_code = exit_code};
  std::strncpy(failure.line, line.c_str(), sizeof failure.line - 1);
  [[maybe_unused]] auto ignored = ::write(failure_fd, &failure, sizeof failure);
  ::_exit(kExitOurs);
}

void BecomeTask(const LaunchSpec& spec, const std::vector<UniqueFd>& fds, const std::string& program,
                const Environment& env, std::uint32_t index, std::uint32_t number, int failure_fd) {
  TaskStarter(spec, fds, program, env, failure_fd).Become(index, number, -1);
}

// A single task borrows our memory until its exec, which spares the copy of the page tables; many begin side
// by side. A frame of its own: vfork returns into it twice.
[[gnu::noinline]] static pid_t Begin(TaskStarter& starter, std::uint32_t index, int cgroup_fd, bool alone) {
  pid_t pid = alone ? ::vfork() : ::fork();
  if (pid == 0) starter.Become(index, index, cgroup_fd);
  return pid;
}

Result<StartedTasks> StartTasks(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                const std::string& program, const Environment& env,
                                const std::vector<UniqueFd>& cgroups, Report& report) {
  if (!cgroups.empty() && cgroups.size() != spec.tasks.size())
    return Fail(Code::kInvalidArgument, cgroups.size(), " cgroups for ", spec.tasks.size(), " tasks");
  PipeEnds failures = TRY(MakePipe());
  TaskStarter starter(spec, fds, program, env, failures.write.get());
  StartedTasks started;
  for (std::uint32_t index = 0; index < spec.tasks.size(); ++index) {
    pid_t pid = Begin(starter, index, cgroups.empty() ? -1 : cgroups[index].get(), spec.tasks.size() == 1);
    if (pid < 0) return ErrnoFail("fork of task", std::to_string(spec.tasks[index].rank));
    started.pids.push_back(pid);
  }
  for (std::uint32_t index = 0; index < spec.tasks.size(); ++index)
    TRY(report.Send(InitFrame::kStarted, TaskStarted{index, started.pids[index]}));
  started.failures = std::move(failures.read);
  return started;
}

}  // namespace slipway
