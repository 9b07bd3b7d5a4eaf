// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/added_tasks.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "launcher/container/confine.h"
#include "launcher/container/program.h"
#include "launcher/container/tasks.h"

namespace slipway {
namespace {

// Where the libraries of its devices lie is the container's, whoever enters it.
Environment WithLibraryFolders(Environment env, const LaunchSpec& spec) {
  for (const std::string& entry : spec.env) {
    if (entry.starts_with("SLIPWAYENV_APPEND_LD_LIBRARY_PATH=")) env.push_back(entry);
  }
  return env;
}

}  // namespace

Result<AddedTasks> AddedTasks::Make(const LaunchSpec& spec, const Environment& env, Report& report) {
  PipeEnds failures = TRY(MakePipe());
  TRY(SetNonblocking(failures.read.get()));
  return AddedTasks(spec, env, report, std::move(failures));
}

Result<> AddedTasks::Run(const RunTask& request, std::vector<UniqueFd> fds) {
  auto pid = Start(request.task, std::move(fds));
  if (!pid) {
    return report_->Send(InitFrame::kTaskFailed,
                         TaskFailed{.task = request.task, .message = pid.error().message});
  }
  tasks_[request.task] = {.pid = *pid, .member = request.member};
  if (request.member) ++members_;
  return report_->Send(InitFrame::kStarted, TaskStarted{request.task, *pid});
}

Result<pid_t> AddedTasks::Start(std::uint32_t number, std::vector<UniqueFd> fds) {
  if (number < kAddedTaskFirst || number > INT32_MAX || tasks_.contains(number))
    return Fail(Code::kInvalidArgument, "task number ", number, " is not to be had");
  if (tasks_.size() >= kAddedTasksMax) {
    return Fail(Code::kResourceExhausted, kAddedTasksMax,
                " processes were added to this container already; wait until one has ended");
  }
  if (fds.empty()) return Fail(Code::kInvalidArgument, "a task without an order");
  std::string bytes = TRY_CONTEXT(ReadSealedMemfd(fds[0].get(), kTaskOrderBytesMax), "task order");
  fds.erase(fds.begin());
  TaskOrder order = TRY(DecodeTaskOrder(bytes, fds.size()));
  pid_t pid = ::fork();
  if (pid < 0) return ErrnoFail("fork");
  if (pid == 0) Become(number, order, fds);
  return pid;
}

Result<Environment> AddedTasks::EnvironmentOf(const TaskOrder& order) const {
  if (!order.whole_environment) {
    Environment env = *env_;
    for (const std::string& entry : order.env) {
      auto equals = entry.find('=');
      SetVariable(env, std::string_view(entry).substr(0, equals), std::string_view(entry).substr(equals + 1));
    }
    return env;
  }
  Environment given = WithLibraryFolders(order.env, *spec_);
  auto env = ConfinedEnvironment(spec_->confinement, given, {spec_->image_environment, spec_->app});
  if (env || env.error().code == Code::kCancelled) return env;
  report_->Warn(Cat("warning: ", env.error().message));
  return ContainerEnvironment(given, {.environment = false});
}

void AddedTasks::Become(std::uint32_t number, const TaskOrder& order, const std::vector<UniqueFd>& streams) {
  int failure_fd = failures_.write.get();
  auto fail = [&](const Error& error, int exit_code = kExitOurs) {
    FailTask(number, exit_code, error.message, failure_fd);
  };
  // A session of its own: the terminal, where there is one, is the asker's and not the container's.
  ::setsid();
  if (order.terminal && ::ioctl(streams[static_cast<std::size_t>(order.stdin_fd)].get(), TIOCSCTTY, 0) < 0)
    fail(ErrnoErrorOf(errno, "taking the terminal"));
  // The init stands in the container's own.
  if (!order.cwd.empty() && ::chdir(order.cwd.c_str()) < 0 && !order.cwd_optional)
    fail(ErrnoErrorOf(errno, "the working directory", order.cwd));
  auto env = EnvironmentOf(order);
  if (!env) fail(env.error());
  auto program = FindProgram(order.argv[0], Lookup(*env, "PATH"));
  if (!program) fail(program.error(), ExitCodeFor(program.error()));
  LaunchSpec spec = *spec_;
  spec.argv = order.argv;
  Task task;
  task.stdin_fd = order.stdin_fd;
  task.stdout_fd = order.stdout_fd;
  task.stderr_fd = order.stderr_fd;
  task.kept_fd = order.kept_fd;
  task.kept_fd_variable = order.kept_fd_variable;
  task.cpus = order.cpus;
  spec.tasks = {task};
  BecomeTask(spec, streams, *program, *env, 0, number, failure_fd);
}

Result<bool> AddedTasks::Ended(pid_t pid, int wait_status) {
  auto at = std::find_if(tasks_.begin(), tasks_.end(), [&](auto& entry) { return entry.second.pid == pid; });
  if (at == tasks_.end()) return false;
  TRY(ReadFailures());  // it may have been written after our last look
  TaskExited exited{at->first, wait_status};
  bool failed = at->second.failed;
  if (at->second.member) --members_;
  tasks_.erase(at);
  if (!failed) TRY(report_->Send(InitFrame::kExited, exited));
  return true;
}

Result<> AddedTasks::ReadFailures() {
  TaskFailure failure;
  while (::read(failures_fd(), &failure, sizeof failure) == sizeof failure) {
    failure.line[sizeof failure.line - 1] = 0;
    auto at = tasks_.find(failure.task);
    if (at == tasks_.end()) continue;
    at->second.failed = true;
    TRY(report_->Send(InitFrame::kTaskFailed, TaskFailed{failure.task, failure.exit_code, failure.line}));
  }
  return {};
}

void AddedTasks::Signal(std::uint32_t task, int signal_number) {
  auto at = tasks_.find(task);
  if (at != tasks_.end()) ::kill(at->second.pid, signal_number);
}

void AddedTasks::SignalAll(int signal_number) {
  for (auto& [number, running] : tasks_) ::kill(running.pid, signal_number);
}

}  // namespace slipway
