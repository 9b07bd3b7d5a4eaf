// SPDX-License-Identifier: Apache-2.0
// For tests of stepd alone: speaks the container init's protocol but builds no container, it only forks. As
// root it gives its ranks mount, UTS and IPC namespaces with a /run, /dev/shm and host name of their own, so
// that several of them can stand for several nodes.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "base/os/socket.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"
#include "launcher/spec/task_order.h"

namespace slipway {

class FakeInit {
 public:
  FakeInit(int control_fd, std::string host) : control_(control_fd), host_(std::move(host)) {}

  [[noreturn]] void Run() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    UniqueFd children(::signalfd(-1, &set, SFD_CLOEXEC));
    LaunchSpec spec = Receive();
    BecomeNode(spec);
    Send(InitFrame::kReady, InitReady{.laps = {{"fake", 1}}});
    for (std::uint32_t i = 0; i < spec.tasks.size(); ++i) Start(spec, spec.tasks[i], i);
    fds_.clear();
    spec_ = std::move(spec);
    while (!pids_.empty()) {
      pollfd polled[2] = {{control_, POLLIN, 0}, {children.get(), POLLIN, 0}};
      ::poll(polled, 2, -1);
      if (polled[0].revents != 0) OnControl();
      if (polled[1].revents != 0) Reap(children.get());
    }
    ::_exit(0);
  }

 private:
  template <class T>
  void Send(InitFrame kind, const T& payload) {
    (void)SendMessage(control_, EncodeFrame(kind, payload));
  }

  LaunchSpec Receive() {
    auto message = ReceiveMessage(control_);
    if (!message || message->fds.empty()) ::_exit(0);
    auto bytes = ReadSealedMemfd(message->fds[0].get(), kLaunchSpecBytesMax);
    auto spec = bytes ? DecodeLaunchSpec(*bytes) : Result<LaunchSpec>(Failure(bytes.error()));
    if (!spec) {
      Send(InitFrame::kFailed, InitFailed{.message = spec.error().message});
      ::_exit(1);
    }
    while (fds_.size() < spec->fd_count) {
      auto more = ReceiveMessage(control_);
      if (!more) ::_exit(1);
      for (UniqueFd& fd : more->fds) fds_.push_back(std::move(fd));
    }
    return *spec;
  }

  void BecomeNode(const LaunchSpec& spec) {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) < 0) return;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    ::mount("tmpfs", "/run", "tmpfs", 0, nullptr);
    ::mount("tmpfs", "/dev/shm", "tmpfs", 0, nullptr);
    if (::sethostname(host_.data(), host_.size()) < 0) return;
    for (const Mount& mount : spec.mounts) {
      if (mount.type == Mount::kTmpfs) (void)MakeDirectories(mount.target);
    }
    for (const InjectedFile& file : spec.files) {
      if (file.account_line) continue;
      (void)MakeDirectories(file.target.substr(0, file.target.rfind('/')));
      (void)WriteFileAtomically(file.target, file.content, file.mode);
    }
  }

  void Start(const LaunchSpec& spec, const Task& task, std::uint32_t number) {
    pid_t pid = ::fork();
    if (pid == 0) {
      auto place = [&](std::int32_t fd, int at) {
        if (fd >= 0) ::dup2(fds_[static_cast<std::size_t>(fd)].get(), at);
      };
      if (task.stdin_fd < 0) ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
      place(task.stdin_fd, 0);
      place(task.stdout_fd, 1);
      place(task.stderr_fd, 2);
      sigset_t none;
      sigemptyset(&none);
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      ::clearenv();
      ::setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
      for (const auto* list : {&spec.env, &task.env}) {
        for (const std::string& entry : *list) {
          if (!entry.starts_with("PATH=")) ::putenv(::strdup(entry.c_str()));
        }
      }
      if (task.kept_fd >= 0) {
        int kept = ::dup(fds_[static_cast<std::size_t>(task.kept_fd)].get());
        ::setenv(task.kept_fd_variable.c_str(), std::to_string(kept).c_str(), 1);
      }
      if (!spec.cwd.empty() && ::chdir(spec.cwd.c_str()) < 0) ::_exit(125);
      std::vector<char*> argv;
      for (const std::string& word : spec.argv) argv.push_back(const_cast<char*>(word.c_str()));
      argv.push_back(nullptr);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    pids_[number] = pid;
    Send(InitFrame::kStarted, TaskStarted{.task = number, .pid = pid});
  }

  // Further ranks, as the real one has them. A program that is not there ends with 127 here.
  void Add(Message message) {
    auto frame = *SplitFrame<InitFrame>(message.bytes);
    auto request = *Decode<RunTask>(frame.payload, "task");
    auto order = *Decode<TaskOrder>(*ReadSealedMemfd(message.fds[0].get(), kTaskOrderBytesMax), "order");
    message.fds.erase(message.fds.begin());
    fds_ = std::move(message.fds);
    LaunchSpec spec = spec_;
    spec.argv = order.argv;
    if (!order.cwd.empty()) spec.cwd = order.cwd;
    Task task;
    task.env = order.env;
    task.stdout_fd = order.stdout_fd;
    task.stderr_fd = order.stderr_fd;
    task.kept_fd = order.kept_fd;
    task.kept_fd_variable = order.kept_fd_variable;
    task.cpus = order.cpus;
    Start(spec, task, request.task);
    fds_.clear();
  }

  void Reap(int children) {
    signalfd_siginfo info;
    [[maybe_unused]] auto got = ::read(children, &info, sizeof info);
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      for (auto at = pids_.begin(); at != pids_.end(); ++at) {
        if (at->second != pid) continue;
        Send(InitFrame::kExited, TaskExited{.task = at->first, .wait_status = status});
        pids_.erase(at);
        break;
      }
    }
  }

  void OnControl() {
    auto message = ReceiveMessage(control_);
    int number = SIGKILL;
    std::int32_t only = -1;
    if (message) {
      auto frame = SplitFrame<InitFrame>(message->bytes);
      if (frame && frame->kind == InitFrame::kRunTask) return Add(std::move(*message));
      if (!frame || frame->kind != InitFrame::kSignal) return;
      auto order = Decode<TaskSignal>(frame->payload, "signal");
      number = order->signal_number;
      only = order->task;
    }
    for (auto& [task, pid] : pids_) {
      if (only < 0 || static_cast<std::uint32_t>(only) == task) ::kill(pid, number);
    }
    if (!message) ::_exit(0);
  }

  int control_;
  std::string host_;
  std::vector<UniqueFd> fds_;
  std::map<std::uint32_t, pid_t> pids_;
  LaunchSpec spec_;
};

}  // namespace slipway
