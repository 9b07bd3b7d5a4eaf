// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/half_born.h"
#include "base/os/child_wait.h"
#include "base/os/signals.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>

namespace slipway {
namespace {

constexpr char kFailedWord = '!';

// Whatever the broker logs to is not the step's to write to.
Result<> SetStandardStreams(int log_fd) {
  UniqueFd null_fd = TRY(Open("/dev/null", O_RDWR));
  for (int fd : {0, 1, 2}) {
    if (::dup2(fd == 0 || log_fd < 0 ? null_fd.get() : log_fd, fd) < 0) return ErrnoFail("dup2");
  }
  return {};
}

// The broker blocks signals for its loop and ignores this one.
void BecomeOrdinary() {
  ::signal(SIGPIPE, SIG_DFL);
  UnblockSignals();
  ::umask(022);
  ::setsid();
  [[maybe_unused]] int changed = ::chdir("/");
}

}  // namespace

void Gate::Require(const Result<>& result) const {
  if (result) return;
  [[maybe_unused]] auto sent = SendMessage(fd_, Cat(kFailedWord, result.error().message));
  ::_exit(125);
}
void Gate::Check(bool ok, const char* what) const {
  if (!ok) Require(ErrnoFail(what));
}
Gate Gate::Place(std::vector<int> fds, int first) const {
  constexpr int kClear = 16;
  fds.push_back(fd_);
  for (int& fd : fds) Check((fd = ::fcntl(fd, F_DUPFD_CLOEXEC, kClear)) >= 0, "fcntl(F_DUPFD_CLOEXEC)");
  Gate moved(fds.back());
  fds.pop_back();
  for (int fd : fds) moved.Check(::dup2(fd, first++) >= 0, "dup2");
  moved.Check(::syscall(SYS_close_range, first, kClear - 1, 0) == 0, "close_range");
  return moved;
}
void Gate::Say(char word) const { Require(SendMessage(fd_, std::string(1, word))); }
void Gate::Await(char word) const {
  auto message = ReceiveMessage(fd_);
  if (!message || message->bytes != std::string(1, word)) ::_exit(125);
}

Result<HalfBorn> HalfBorn::Make(const HalfBornOptions& options,
                                const std::function<void(const Gate&)>& body) {
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  bool own = options.surroundings == Surroundings::kOwn;
  Process process = TRY(Clone3(options.clone));
  if (!process) {
    std::vector<int> kept = options.keep;
    kept.push_back(ends.b.get());
    Gate gate(ends.b.get());
    if (own) gate.Require(SetStandardStreams(options.log_fd));
    gate.Require(CloseAllBut(kept));
    if (own) BecomeOrdinary();
    body(gate);
    ::_exit(125);
  }
  HalfBorn born(std::move(process), std::move(ends.a), options.patience);
  // The broker may be shielded from the out-of-memory killer; a step is not. A user's broker is not, and may
  // not lower what it has of his systemd.
  if (own && !options.takes_limits && ::geteuid() == 0)
    TRY(WriteInto(Cat("/proc/", born.pid(), "/oom_score_adj"), "0"));
  return born;
}

Result<> HalfBorn::Hear(char word) {
  TRY(AwaitWordOf(process_, gate_.get(), patience_));
  auto message = ReceiveMessage(gate_.get());
  if (!message) return Fail(Code::kInternal, "a step's process ended while it was being made");
  if (message->bytes[0] == kFailedWord) return Fail(Code::kInternal, message->bytes.substr(1));
  if (message->bytes[0] != word) return Fail(Code::kInternal, "a step's process is out of step");
  return {};
}

void LeaveSessionKeyring() { ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr); }

Result<> HalfBorn::Tell(char word) { return SendMessage(gate_.get(), std::string(1, word)); }

Result<> HalfBorn::HearItClose() {
  TRY(AwaitWordOf(process_, gate_.get(), patience_));
  if (auto message = ReceiveMessage(gate_.get())) return Fail(Code::kInternal, message->bytes.substr(1));
  return {};
}

void HalfBorn::End() {
  if (!process_) return;
  [[maybe_unused]] auto killed = process_.Signal(SIGKILL);
  [[maybe_unused]] auto reaped = process_.Wait();
}

}  // namespace slipway
