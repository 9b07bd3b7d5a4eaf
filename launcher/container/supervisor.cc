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
#include <optional>
#include <vector>

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
                      {supervised_.tasks.failures.get(), POLLIN, 0},
                      {supervised_.added->failures_fd(), POLLIN, 0}};
      if (::poll(fds, 4, -1) < 0 && errno != EINTR) Abandon(Cat("poll: ", ::strerrordesc_np(errno)));
      // A task that could not exec says why before it ends.
      if (fds[2].revents != 0) ReadFailures();
      if (fds[3].revents != 0 && !supervised_.added->ReadFailures()) Leave(kExitOurs);
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
    TaskFailure failure;
    ssize_t n = ::read(supervised_.tasks.failures.get(), &failure, sizeof failure);
    if (n < 0 && errno == EINTR) return;
    if (n != sizeof failure) {
      supervised_.tasks.failures.reset();  // every task is past its exec; poll skips a negative descriptor
      return;
    }
    failure.line[sizeof failure.line - 1] = 0;
    Abandon(failure.line, failure.exit_code);
  }

  void Reap() {
    std::vector<TaskExited> exited;
    int status = 0;
    pid_t pid;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      auto at = std::find(supervised_.tasks.pids.begin(), supervised_.tasks.pids.end(), pid);
      if (FuseServer* server = ServerOf(pid)) {
        report_.Warn(Cat("error: ", server->program, " ended: what it served cannot be read any more"));
        server->pid = -1;
      }
      if (at == supervised_.tasks.pids.end()) {
        if (!supervised_.added->Ended(pid, status)) Leave(kExitOurs);
        continue;
      }
      *at = -1;
      --left_;
      exited.push_back({static_cast<std::uint32_t>(at - supervised_.tasks.pids.begin()), status});
      // The failure of its exec may have come after our look at the pipe.
      if (supervised_.tasks.failures && WIFEXITED(status) && WEXITSTATUS(status) == kExitOurs)
        ReadFailuresNow();
    }
    // Orphans come to us before their parent's end does, so who has no child is alone.
    if (!exited.empty()) exited.back().last = pid < 0 && errno == ECHILD && !supervised_.idle;
    for (const TaskExited& one : exited) {
      if (!report_.Send(InitFrame::kExited, one)) Leave(kExitOurs);
    }
    LeaveIfDone();
  }

  void LeaveIfDone() {
    bool done = left_ == 0 && !supervised_.added->has_members() && !supervised_.idle;
    if (finishing_ ? NothingLeft() : done) Leave(0);
  }

  FuseServer* ServerOf(pid_t pid) {
    for (FuseServer& server : supervised_.servers) {
      if (server.pid == pid) return &server;
    }
    return nullptr;
  }
  std::size_t LiveServers() const {
    return static_cast<std::size_t>(std::count_if(supervised_.servers.begin(), supervised_.servers.end(),
                                                  [](const FuseServer& server) { return server.pid > 0; }));
  }

  // Looked at twice: the kernel's list may miss some when one of them ends meanwhile. Without it only the
  // tasks are known of.
  bool NothingLeft() {
    for (int look = 0; look < 2; ++look) {
      auto children = Children();
      if (!children) return left_ == 0 && supervised_.added->empty();
      if (children->size() > LiveServers()) return false;
    }
    return true;
  }

  void ReadFailuresNow() {
    pollfd fd{supervised_.tasks.failures.get(), POLLIN, 0};
    if (::poll(&fd, 1, 0) > 0) ReadFailures();
  }

  void ReadControl() {
    auto message = ReceiveMessage(supervised_.control.get());
    if (!message) Leave(kExitOurs);  // whoever ordered this has gone
    auto handled = Handle(std::move(*message));
    if (!handled) Abandon(handled.error().message);
  }

  Result<> Handle(Message message) {
    auto frame = TRY(SplitFrame<InitFrame>(message.bytes));
    switch (frame.kind) {
      case InitFrame::kSignal: {
        auto signal = TRY(Decode<TaskSignal>(frame.payload, "signal"));
        if (signal.signal_number < 1 || signal.signal_number > 64) break;
        Forward(signal);
        return {};
      }
      case InitFrame::kRunTask: {
        auto request = TRY(Decode<RunTask>(frame.payload, "task request"));
        if (!supervised_.added->Run(request, std::move(message.fds))) Leave(kExitOurs);
        return {};
      }
      case InitFrame::kFinish: {
        auto finish = TRY(Decode<TaskFinish>(frame.payload, "finish"));
        if (finish.signal_number < 0 || finish.signal_number > 64) break;
        finishing_ = true;
        if (finish.signal_number != 0) SignalEverything(finish.signal_number);
        LeaveIfDone();
        return {};
      }
      default:
        break;
    }
    return Fail(Code::kInvalidArgument, "the container's init got a frame that it does not know");
  }

  void Forward(const TaskSignal& signal) {
    if (signal.task < 0) return SignalAll(signal.signal_number);
    auto index = static_cast<std::size_t>(signal.task);
    if (index >= supervised_.tasks.pids.size()) {
      supervised_.added->Signal(static_cast<std::uint32_t>(signal.task), signal.signal_number);
    } else if (supervised_.tasks.pids[index] > 0) {
      ::kill(supervised_.tasks.pids[index], signal.signal_number);
    }
  }

  void SignalAll(int number) {
    // In a PID namespace "all" is everything inside but us; the image's server ignores what it is not to act
    // upon. It cannot ignore that it is stopped: it goes on at once.
    if (supervised_.pid_namespace && number != SIGKILL) {
      ::kill(-1, number);
      for (const FuseServer& server : supervised_.servers) {
        if (number == SIGSTOP && server.pid > 0) ::kill(server.pid, SIGCONT);
      }
      return;
    }
    for (pid_t pid : supervised_.tasks.pids) {
      if (pid > 0) ::kill(pid, number);
    }
    supervised_.added->SignalAll(number);
  }

  // The orphans too, which without a PID namespace only the list of our children knows.
  void SignalEverything(int number) {
    auto children = Children();
    if (supervised_.pid_namespace || !children) return SignalAll(number);
    for (pid_t pid : *children) {
      if (ServerOf(pid) == nullptr) ::kill(pid, number);
    }
  }

  // PID 1's end is the end of all others, by the kernel's hand. Without a PID namespace the orphans come to
  // us.
  void KillRest() {
    if (supervised_.pid_namespace) return;
    for (const FuseServer& server : supervised_.servers) {
      if (server.pid > 0) ::kill(server.pid, SIGKILL);
    }
    SignalAll(SIGKILL);
    for (;;) {
      auto children = Children();
      if (!children || children->empty()) return;
      for (pid_t pid : *children) ::kill(pid, SIGKILL);
      if (::waitpid(-1, nullptr, 0) <= 0) return;
    }
  }

  // Nothing when they cannot be known. In a PID namespace the numbers are the host's: only their count says
  // something.
  std::optional<std::vector<pid_t>> Children() {
    char list[65536];
    ssize_t n = ::pread(supervised_.children_list.get(), list, sizeof list - 1, 0);
    if (n < 0) return std::nullopt;
    list[n] = 0;
    std::vector<pid_t> children;
    for (const char* at = list; *at != 0;) {
      char* end = nullptr;
      long pid = std::strtol(at, &end, 10);
      if (end == at) break;
      // A number cut off by the end of the buffer is another process's; it comes whole in the next round.
      if (pid > 1 && *end == ' ') children.push_back(static_cast<pid_t>(pid));
      at = *end == ' ' ? end + 1 : end;
    }
    return children;
  }

  Supervised supervised_;
  Report& report_;
  std::size_t left_;
  bool finishing_ = false;
};

}  // namespace

void Supervise(Supervised supervised, Report& report) {
  Supervisor supervisor(std::move(supervised), report);
  supervisor.Run();
}

}  // namespace slipway
