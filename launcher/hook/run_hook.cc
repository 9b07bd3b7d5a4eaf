// SPDX-License-Identifier: Apache-2.0
#include "launcher/hook/run_hook.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "base/os/process.h"
#include "base/os/signals.h"

namespace slipway {
namespace {

constexpr std::size_t kWordsKept = 512;  // of what it wrote, the last
constexpr int kExitNotRun = 126;

std::int64_t Now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1000} + now.tv_nsec / 1'000'000;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  UnblockSignals();
}

// In the child; does not return.
[[noreturn]] void Become(const Hook& hook, int stdin_fd, int words_fd,
                         const std::function<Result<>()>& in_child) {
  auto refuse = [&](const Error& error) {
    [[maybe_unused]] auto said = WriteAll(words_fd, error.message);
    ::_exit(kExitNotRun);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  ::umask(022);
  if (::chdir("/") < 0) refuse(ErrnoErrorOf(errno, "chdir", "/"));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) refuse(ErrnoErrorOf(errno, "prctl(PR_SET_NO_NEW_PRIVS)"));
  if (in_child) {
    if (auto prepared = in_child(); !prepared) refuse(prepared.error());
  }
  // Above 2 first: a descriptor of ours may be one of the three.
  int words = ::fcntl(words_fd, F_DUPFD_CLOEXEC, 3), question = ::fcntl(stdin_fd, F_DUPFD_CLOEXEC, 3);
  if (words < 0 || question < 0 || ::dup2(question, 0) < 0 || ::dup2(words, 1) < 0 || ::dup2(words, 2) < 0)
    refuse(ErrnoErrorOf(errno, "dup2"));
  if (::syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) < 0)
    refuse(ErrnoErrorOf(errno, "close_range"));
  ResetSignals();
  std::vector<std::string> argv = hook.args;
  if (argv.empty()) argv.push_back(hook.path);
  ::execve(hook.path.c_str(), Pointers(argv).data(), Pointers(hook.env).data());
  refuse(ErrnoErrorOf(errno, "exec", hook.path));
  ::_exit(kExitNotRun);
}

// False when the deadline came first.
Result<bool> AwaitEnd(const Process& child, int words_fd, std::int64_t deadline_ms, std::string& words) {
  pollfd fds[] = {{child.pidfd(), POLLIN, 0}, {words_fd, POLLIN, 0}};
  bool over = false;
  while (!over) {
    std::int64_t left_ms = deadline_ms - Now_ms();
    if (left_ms <= 0) return false;
    if (::poll(fds, 2, static_cast<int>(left_ms)) < 0 && errno != EINTR) return ErrnoFail("poll");
    over = fds[0].revents != 0;
    if (fds[1].revents == 0) continue;
    char bytes[4096];
    ssize_t n = ::read(words_fd, bytes, sizeof bytes);
    if (n <= 0 && !(n < 0 && errno == EINTR)) fds[1].fd = -1;
    if (n > 0) words.append(bytes, static_cast<std::size_t>(n));
    if (words.size() > kWordsKept) words.erase(0, words.size() - kWordsKept);
  }
  return true;
}

std::string LastLine(std::string words) {
  words.erase(words.find_last_not_of(" \n\t") + 1);
  words.erase(0, words.rfind('\n') + 1);
  for (char& c : words) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) c = '?';
  }
  return words;
}

}  // namespace

Result<> RunHook(const Hook& hook, std::string_view state, const std::function<Result<>()>& in_child) {
  UniqueFd question = TRY(MakeSealedMemfd("hook-state", state));
  PipeEnds pipe = TRY(MakePipe());
  TRY(SetNonblocking(pipe.read.get()));
  Process child = TRY(Clone3({}));
  if (!child) Become(hook, question.get(), pipe.write.get(), in_child);
  pipe.write.reset();
  std::uint32_t timeout_s = hook.timeout_s != 0 ? hook.timeout_s : kHookTimeoutDefault_s;
  std::string words;
  auto ended = AwaitEnd(child, pipe.read.get(), Now_ms() + std::int64_t{timeout_s} * 1000, words);
  // The group's number is the child's until it is reaped: nobody else can be hit.
  ::kill(-child.pid(), SIGKILL);
  [[maybe_unused]] auto killed = child.Signal(SIGKILL);
  ExitStatus status = TRY(child.Wait());
  std::string name = Cat("hook ", hook.path, " (", StageName(hook.stage), ")");
  if (!ended) return Failure(std::move(ended).error().Context(name));
  if (!*ended) return Fail(Code::kDeadlineExceeded, name, ": not done within ", timeout_s, " s");
  if (status.wait_status == 0) return {};
  char rest[kWordsKept];
  ssize_t n = ::read(pipe.read.get(), rest, sizeof rest);
  if (n > 0) words.append(rest, static_cast<std::size_t>(n));
  std::string last = LastLine(words);
  return Fail(Code::kFailedPrecondition, name,
              status.signaled() ? Cat(": ended by signal ", status.signal())
                                : Cat(": exit code ", status.exit_code()),
              last.empty() ? "" : Cat(": ", last));
}

Result<> RunHooks(const std::vector<Hook>& hooks, HookStage stage, std::string_view state,
                  const std::function<Result<>()>& in_child) {
  for (const Hook& hook : hooks) {
    if (hook.stage == stage) TRY(RunHook(hook, state, in_child));
  }
  return {};
}

bool HasStage(const std::vector<Hook>& hooks, HookStage stage) {
  return std::any_of(hooks.begin(), hooks.end(), [&](const Hook& hook) { return hook.stage == stage; });
}

}  // namespace slipway
