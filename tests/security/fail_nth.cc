// SPDX-License-Identifier: Apache-2.0
// A program that makes namespaces and mounts must be right also when the kernel refuses any one of its calls.
// This runs a command and lets its Nth system call fail, really: the call is not made and returns an error.
// A test goes through all N.
//
//   fail_nth N ERRNO|kill|stop PROGRAM[,PROGRAM…] COMMAND [ARG…]
//
// kill: the process is killed instead, before its Nth call. stop: it is stopped (SIGSTOP) there and no longer
// traced, so that others may try their hands on it.
//
// Counted are the calls of the processes of the tree that run one of the named programs (by the last
// component of /proc/PID/exe), dynamic loader included, except those that
// cannot fail or whose failure nobody could act upon (exit, close, memory). The exit status is the command's,
// 128 + signal when it was killed. On descriptor 9, if that is open: "<name of the call> <program>
// <pid>\n" when the Nth call was reached, nothing when there were fewer.
#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace {

struct Call {
  long number;
  const char* name;
};
#define CALL(name) \
  { SYS_##name, #name }
// What the kernel may refuse for want of memory, rights or descriptors.
constexpr Call kCounted[] = {CALL(open),
                             CALL(openat),
                             CALL(openat2),
                             CALL(mount),
                             CALL(umount2),
                             CALL(unshare),
                             CALL(setns),
                             CALL(clone),
                             CALL(clone3),
                             CALL(fork),
                             CALL(vfork),
                             CALL(fsopen),
                             CALL(fsconfig),
                             CALL(fsmount),
                             CALL(move_mount),
                             CALL(open_tree),
                             CALL(mount_setattr),
                             CALL(pivot_root),
                             CALL(setgroups),
                             CALL(setresuid),
                             CALL(setresgid),
                             CALL(prctl),
                             CALL(capset),
                             CALL(capget),
                             CALL(mkdir),
                             CALL(mkdirat),
                             CALL(symlinkat),
                             CALL(mknodat),
                             CALL(linkat),
                             CALL(unlinkat),
                             CALL(renameat2),
                             CALL(socket),
                             CALL(socketpair),
                             CALL(connect),
                             CALL(bind),
                             CALL(listen),
                             CALL(accept4),
                             CALL(sendmsg),
                             CALL(recvmsg),
                             CALL(getsockopt),
                             CALL(dup2),
                             CALL(dup3),
                             CALL(chdir),
                             CALL(fchdir),
                             CALL(ioctl),
                             CALL(memfd_create),
                             CALL(fcntl),
                             CALL(pipe2),
                             CALL(signalfd4),
                             CALL(statx),
                             CALL(newfstatat),
                             CALL(fstat),
                             CALL(readlink),
                             CALL(readlinkat),
                             CALL(execve),
                             CALL(fchmod),
                             CALL(fchown),
                             CALL(ftruncate),
                             CALL(pread64),
                             CALL(read),
                             CALL(write),
                             CALL(getdents64),
                             CALL(pidfd_open),
                             CALL(pidfd_send_signal),
                             CALL(sethostname),
                             CALL(close_range),
                             CALL(seccomp),
                             CALL(setsid),
                             CALL(poll),
                             CALL(rt_sigprocmask),
                             CALL(sched_setaffinity),
                             CALL(prlimit64),
                             CALL(setrlimit),
                             CALL(keyctl)};
#undef CALL

const char* NameOf(long number) {
  for (const Call& call : kCounted) {
    if (call.number == number) return call.name;
  }
  return nullptr;
}

struct Tracee {
  bool counted = false;  // runs one of the named programs
  bool failing = false;  // its current call is the Nth
};

// What is done to the process that comes to its Nth call.
struct Deed {
  enum Kind { kRefuse, kKill, kStop } kind = kRefuse;
  int error = 0;
};

class Tracer {
 public:
  Tracer(long nth, Deed deed, std::set<std::string> programs)
      : nth_(nth), deed_(deed), programs_(std::move(programs)) {}

  int Run(char** argv) {
    child_ = ::fork();
    if (child_ == 0) {
      ::raise(SIGSTOP);
      ::execvp(argv[0], argv);
      std::perror(argv[0]);
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(child_, &status, WUNTRACED);
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SEIZE, child_, 0, options) < 0) {
      std::perror("fail_nth: ptrace");
      return 2;
    }
    ::kill(child_, SIGCONT);
    // Our end is not the command's alone: who outlives it is traced to its own end.
    for (pid_t pid; (pid = ::waitpid(-1, &status, __WALL)) > 0;) OnStop(pid, status);
    return exit_code_;
  }

 private:
  void OnStop(pid_t pid, int status) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (pid == child_) exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      tracees_.erase(pid);
      return;
    }
    if (!WIFSTOPPED(status)) return;
    int signal = WSTOPSIG(status), event = status >> 16;
    if (signal == (SIGTRAP | 0x80)) {
      if (OnCall(pid)) ::ptrace(PTRACE_SYSCALL, pid, 0, 0);
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
      ::ptrace(PTRACE_LISTEN, pid, 0, 0);  // a group stop: it stays stopped
    } else if (event != 0) {
      if (event == PTRACE_EVENT_EXEC || event == PTRACE_EVENT_STOP) tracees_[pid].counted = IsCounted(pid);
      ::ptrace(PTRACE_SYSCALL, pid, 0, 0);
    } else {
      ::ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }
  }

  // False: it is ours no longer.
  bool OnCall(pid_t pid) {
    Tracee& tracee = tracees_[pid];
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return true;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && tracee.counted) {
      const char* name = NameOf(static_cast<long>(info.entry.nr));
      if (name == nullptr || ++count_ != nth_) return true;
      return Do(name, pid, tracee);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee.failing) {
      tracee.failing = false;
      SetRegisters(pid, [this](user_regs_struct& registers) {
        registers.rax = static_cast<unsigned long long>(-static_cast<long long>(deed_.error));
      });
    }
    return true;
  }

  bool Do(const char* name, pid_t pid, Tracee& tracee) {
    if (deed_.kind == Deed::kStop) {
      ::syscall(SYS_tgkill, pid, pid, SIGSTOP);
      ::ptrace(PTRACE_DETACH, pid, 0, 0);
      tracees_.erase(pid);
      Tell(name, pid);
      return false;
    }
    Tell(name, pid);
    if (deed_.kind == Deed::kKill) {
      ::kill(pid, SIGKILL);
    } else {
      tracee.failing = true;
      SetRegisters(pid, [](user_regs_struct& registers) { registers.orig_rax = ~0ULL; });
    }
    return true;
  }

  template <class Change>
  void SetRegisters(pid_t pid, Change change) {
    user_regs_struct registers{};
    iovec vector{&registers, sizeof registers};
    if (::ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector) < 0) return;
    change(registers);
    ::ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &vector);
  }

  static std::string ProgramOf(pid_t pid) {
    char path[PATH_MAX];
    ssize_t n = ::readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), path, sizeof path);
    std::string program(path, n > 0 ? static_cast<std::size_t>(n) : 0);
    return program.substr(program.rfind('/') + 1);
  }
  bool IsCounted(pid_t pid) const { return programs_.contains(ProgramOf(pid)); }

  static void Tell(const char* name, pid_t pid) {
    std::string line = std::string(name) + " " + ProgramOf(pid) + " " + std::to_string(pid) + "\n";
    [[maybe_unused]] auto n = ::write(9, line.data(), line.size());
  }

  long nth_, count_ = 0;
  Deed deed_;
  std::set<std::string> programs_;
  pid_t child_ = -1;
  int exit_code_ = 2;
  std::map<pid_t, Tracee> tracees_;
};

std::set<std::string> Programs(const std::string& list) {
  std::set<std::string> programs;
  for (std::size_t start = 0; start <= list.size();) {
    auto end = std::min(list.find(',', start), list.size());
    programs.insert(list.substr(start, end - start));
    start = end + 1;
  }
  return programs;
}

Deed DeedOf(const std::string& word) {
  if (word == "kill") return {Deed::kKill};
  if (word == "stop") return {Deed::kStop};
  return {Deed::kRefuse, std::atoi(word.c_str())};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: fail_nth N ERRNO|kill|stop PROGRAM[,PROGRAM…] COMMAND [ARG…]\n");
    return 2;
  }
  if (::fcntl(9, F_GETFD) >= 0) ::fcntl(9, F_SETFD, FD_CLOEXEC);
  return Tracer(std::atol(argv[1]), DeedOf(argv[2]), Programs(argv[3])).Run(argv + 4);
}
