// SPDX-License-Identifier: Apache-2.0
#include "base/os/process.h"
#include "base/os/signals.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

// glibc 2.36's header lacks extern "C".
extern "C" {
#include <sys/pidfd.h>
}
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace slipway {

Result<Process> Process::Of(pid_t pid) {
  UniqueFd fd(::pidfd_open(pid, 0));
  if (!fd) return ErrnoFail("pidfd_open", std::to_string(pid));
  return Process(pid, std::move(fd));
}

Result<> Process::Signal(int signal_number) const {
  if (::pidfd_send_signal(pidfd_.get(), signal_number, nullptr, 0) < 0) return ErrnoFail("pidfd_send_signal");
  return {};
}

namespace {
Result<std::optional<ExitStatus>> WaitOn(int pidfd, int flags) {
  siginfo_t info{};
  int waited;
  do {
    waited = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED | flags);
  } while (waited < 0 && errno == EINTR);
  if (waited < 0) return ErrnoFail("waitid");
  if (info.si_pid == 0) return std::optional<ExitStatus>{};
  int status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
  return std::optional<ExitStatus>(ExitStatus{status});
}
}  // namespace

Result<ExitStatus> Process::Wait() { return *TRY(WaitOn(pidfd_.get(), 0)); }
Result<std::optional<ExitStatus>> Process::Poll() { return WaitOn(pidfd_.get(), WNOHANG); }
bool Process::IsStopped() const {
  siginfo_t info{};
  int waited =
      ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WSTOPPED | WNOHANG);
  return waited == 0 && info.si_pid != 0;
}

Result<Process> Clone3(const CloneOptions& options) {
  int pidfd = -1;
  clone_args args{};
  args.flags = options.flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (options.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(options.cgroup_fd);
  }
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  // systemd's RestrictNamespaces= takes clone3 away (a filter cannot see its flags) and leaves clone.
  if (pid < 0 && errno == ENOSYS && options.cgroup_fd < 0)
    pid = ::syscall(SYS_clone, args.flags | SIGCHLD, 0, &pidfd, 0, 0);
  if (pid < 0) return ErrnoFail("clone3");
  if (pid == 0) return Process();
  return Process(static_cast<pid_t>(pid), UniqueFd(pidfd));
}

namespace {

[[noreturn]] void ChildFails(int report_fd) {
  int error = errno;
  [[maybe_unused]] auto ignored = ::write(report_fd, &error, sizeof error);
  ::_exit(127);
}

// In the child, after fork: moves descriptors to the numbers asked for without stepping on one another, by
// first lifting all of them above every target.
void PlaceFds(std::vector<std::pair<int, int>>& fds, int& report_fd) {
  int floor = 3;
  for (auto& [theirs, ours] : fds) floor = std::max(floor, theirs + 1);
  if ((report_fd = ::fcntl(report_fd, F_DUPFD_CLOEXEC, floor)) < 0) ::_exit(127);
  for (auto& [theirs, ours] : fds) {
    if ((ours = ::fcntl(ours, F_DUPFD_CLOEXEC, floor)) < 0) ChildFails(report_fd);
  }
  for (auto& [theirs, ours] : fds) {
    if (::dup2(ours, theirs) < 0) ChildFails(report_fd);
  }
}

[[noreturn]] void Become(const SpawnOptions& options, std::vector<std::pair<int, int>> fds, char* const* argv,
                         char* const* envp, pid_t parent, int report_fd) {
  PlaceFds(fds, report_fd);
  int highest = 2;
  for (auto& [theirs, ours] : fds) highest = std::max(highest, theirs);
  for (int fd = 3; fd <= highest; ++fd) {
    bool wanted = std::any_of(fds.begin(), fds.end(), [fd](auto& pair) { return pair.first == fd; });
    if (!wanted && fd != report_fd) ::close(fd);
  }
  // Everything above is close-on-exec, whoever opened it.
  if (::syscall(SYS_close_range, highest + 1, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0)
    ChildFails(report_fd);
  UnblockSignals();
  ::signal(SIGPIPE, SIG_DFL);
  if (options.new_session) ::setsid();
  if (options.parent_death_signal != 0) {
    ::prctl(PR_SET_PDEATHSIG, options.parent_death_signal);
    if (::getppid() != parent) ::_exit(127);
  }
  if (!options.cwd.empty() && ::chdir(options.cwd.c_str()) < 0) ChildFails(report_fd);
  const char* program = options.program.empty() ? argv[0] : options.program.c_str();
  if (envp != nullptr) {
    ::execvpe(program, argv, envp);
  } else {
    ::execvp(program, argv);
  }
  ChildFails(report_fd);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (auto& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<Process> Spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return Fail(Code::kInvalidArgument, "spawn: no program named");
  std::vector<char*> argv = Pointers(options.argv);
  std::vector<char*> envp;
  if (options.env) envp = Pointers(*options.env);
  PipeEnds report = TRY(MakePipe());
  pid_t parent = ::getpid();
  Process child = TRY(Clone3({}));
  if (!child) {
    Become(options, options.fds, argv.data(), options.env ? envp.data() : nullptr, parent,
           report.write.get());
  }
  report.write.reset();
  int error = 0;
  ssize_t n;
  do {
    n = ::read(report.read.get(), &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof error) {
    [[maybe_unused]] auto reaped = child.Wait();
    return Failure(ErrnoErrorOf(error, "start", options.argv[0]));
  }
  return child;
}

Result<Output> RunAndCapture(const SpawnOptions& options) {
  PipeEnds out = TRY(MakePipe());
  SpawnOptions with_pipe = options;
  with_pipe.fds.emplace_back(1, out.write.get());
  Process child = TRY(Spawn(with_pipe));
  out.write.reset();
  Output output;
  auto bytes = ReadAll(out.read.get(), 16 << 20);
  out.read.reset();
  output.status = TRY(child.Wait());
  if (!bytes) return Failure(std::move(bytes).error());
  output.out = std::move(*bytes);
  return output;
}

}  // namespace slipway
