// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "launcher/container/program.h"

namespace slipway {
namespace {

class Supervisor {
 public:
  Supervisor(Supervised supervised, Report& report)
      : supervised_(std::move(supervised)), report_(report), left_(supervised_.tasks.pids.size()) {}

  [[noreturn]] void Run() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    UniqueFd children(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!children) Abandon(Cat("signalfd: ", ::strerrordesc_np(errno)));
    for (;;) {
      pollfd fds[] = {{children.get(), POLLIN, 0},
                      {supervised_.control.get(), POLLIN, 0},
                      {supervised_.tasks.failures.get(), POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0 && errno != EINTR) Abandon(Cat("poll: ", ::strerrordesc_np(errno)));
      // A task that could not exec says why before it ends.
      if (fds[2].revents != 0) ReadFailures();
      if (fds[0].revents != 0) {
        signalfd_siginfo info;
        while (::read(children.get(), &info, sizeof info) == sizeof info) {
        }
        Reap();
      }
      if (fds[1].revents != 0) ReadControl();
    }
  }

 private:
  [[noreturn]] void Leave(int code) {
    KillRest();
    ::_exit(code);
  }
  [[noreturn]] void Abandon(const std::string& line, int exit_code = kExitOurs) {
    KillRest();
    report_.Die(line, exit_code);
  }

  void ReadFailures() {
    ExecFailure failure;
    ssize_t n = ::read(supervised_.tasks.failures.get(), &failure, sizeof failure);
    if (n < 0 && errno == EINTR) return;
    if (n != sizeof failure) {
      supervised_.tasks.failures.reset();  // every task is past its exec; poll skips a negative descriptor
      return;
    }
    failure.stage[sizeof failure.stage - 1] = 0;
    std::string_view stage = failure.stage;
    Error error = stage == "exec" ? ExecError(supervised_.program, failure.sys_errno)
                                  : ErrnoErrorOf(failure.sys_errno, stage);
    Abandon(error.message, stage == "exec" ? ExitCodeFor(error) : kExitOurs);
  }

  void Reap() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      auto at = std::find(supervised_.tasks.pids.begin(), supervised_.tasks.pids.end(), pid);
      for (FuseServer& server : supervised_.servers) {
        if (pid != server.pid) continue;
        report_.Warn(Cat("error: ", server.program, " ended: what it served cannot be read any more"));
        server.pid = -1;
      }
      if (at == supervised_.tasks.pids.end()) continue;
      *at = -1;
      --left_;
      auto index = static_cast<std::uint32_t>(at - supervised_.tasks.pids.begin());
      // The failure of its exec may have come after our look at the pipe.
      if (supervised_.tasks.failures && WIFEXITED(status) && WEXITSTATUS(status) == kExitOurs)
        ReadFailuresNow();
      if (!report_.Send(InitFrame::kExited, TaskExited{index, status})) Leave(kExitOurs);
    }
    if (left_ == 0) Leave(0);
  }

  void ReadFailuresNow() {
    pollfd fd{supervised_.tasks.failures.get(), POLLIN, 0};
    if (::poll(&fd, 1, 0) > 0) ReadFailures();
  }

  void ReadControl() {
    auto message = ReceiveMessage(supervised_.control.get());
    if (!message) Leave(kExitOurs);  // whoever ordered this has gone
    auto frame = SplitFrame<InitFrame>(message->bytes);
    if (!frame || frame->kind != InitFrame::kSignal)
      Abandon("the container's init got a frame that it does not know");
    auto signal = Decode<TaskSignal>(frame->payload, "signal");
    if (!signal || signal->signal_number < 1 || signal->signal_number > 64)
      Abandon("the container's init got a malformed signal");
    Forward(*signal);
  }

  void Forward(const TaskSignal& signal) {
    // In a PID namespace "all" is everything inside but us; the image's server ignores what it is not to act
    // upon.
    bool stops_server = signal.signal_number == SIGSTOP;
    if (signal.task < 0 && supervised_.pid_namespace && !stops_server && signal.signal_number != SIGKILL) {
      ::kill(-1, signal.signal_number);
      return;
    }
    for (std::size_t i = 0; i < supervised_.tasks.pids.size(); ++i) {
      pid_t pid = supervised_.tasks.pids[i];
      if (pid > 0 && (signal.task < 0 || static_cast<std::size_t>(signal.task) == i))
        ::kill(pid, signal.signal_number);
    }
  }

  // PID 1's end is the end of all others, by the kernel's hand. Without a PID namespace the orphans come to
  // us.
  void KillRest() {
    if (supervised_.pid_namespace) return;
    for (const FuseServer& server : supervised_.servers) {
      if (server.pid > 0) ::kill(server.pid, SIGKILL);
    }
    for (pid_t pid : supervised_.tasks.pids) {
      if (pid > 0) ::kill(pid, SIGKILL);
    }
    bool listed = true;
    while (listed && KillChildren(listed) && ::waitpid(-1, nullptr, 0) > 0) {
    }
  }

  // False when there is none left; `listed` false when that cannot be known.
  bool KillChildren(bool& listed) {
    char list[65536];
    ssize_t n = ::pread(supervised_.children_list.get(), list, sizeof list - 1, 0);
    listed = n >= 0;
    if (n <= 0) return false;
    list[n] = 0;
    for (const char* at = list; *at != 0;) {
      char* end = nullptr;
      long pid = std::strtol(at, &end, 10);
      if (end == at) break;
      // A number cut off by the end of the buffer is another process's; it comes whole in the next round.
      if (pid > 1 && *end == ' ') ::kill(static_cast<pid_t>(pid), SIGKILL);
      at = *end == ' ' ? end + 1 : end;
    }
    return true;
  }

  Supervised supervised_;
  Report& report_;
  std::size_t left_;
};

}  // namespace

void Supervise(Supervised supervised, Report& report) {
  Supervisor supervisor(std::move(supervised), report);
  supervisor.Run();
}

}  // namespace slipway
