// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/site_program.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/os/process.h"
#include "base/text/text.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kAnswerBytesMax = 1 << 20, kWordsBytesKept = 64 << 10, kLineBytesShown = 200;
constexpr std::size_t kPieceBytes = 4096, kPipeBytes = 1 << 20;

using Clock = std::chrono::steady_clock;

int MsUntil(Clock::time_point end) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left) + 1;
}

// Our ends of its standard input and output. Both ways at once: a program that answers before it has read all
// must not stop us, nor one that reads nothing.
struct Talk {
  UniqueFd to, from;
  std::string_view input;
  SiteProgram::Output kind;
  std::string output;

  bool too_much() const { return kind == SiteProgram::kAnswer && output.size() > kAnswerBytesMax; }
  void Write() {
    ssize_t sent = ::write(to.get(), input.data(), input.size());
    if (sent > 0) input.remove_prefix(static_cast<std::size_t>(sent));
    if ((sent < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) to.reset();
  }
  // False when nothing is there now.
  bool Read() {
    char piece[kPieceBytes];
    ssize_t got = ::read(from.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) return true;
    if (got == 0 || (got < 0 && errno != EAGAIN)) from.reset();
    if (got <= 0) return false;
    output.append(piece, static_cast<std::size_t>(got));
    if (kind == SiteProgram::kWords && output.size() > 2 * kWordsBytesKept)
      output.erase(0, output.size() - kWordsBytesKept);
    return true;
  }
};

// Until it has ended, or has to. What it left in the background may hold its output: that is not waited for.
Result<SiteProgramEnd::How> Attend(Talk& talk, int pidfd, int call_off_fd, Clock::time_point end) {
  for (;;) {
    pollfd fds[] = {{pidfd, POLLIN, 0},
                    {talk.from.get(), POLLIN, 0},
                    {talk.to.get(), POLLOUT, 0},
                    {call_off_fd, POLLIN, 0}};
    int ready = ::poll(fds, 4, MsUntil(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return ErrnoFail("poll");
    if (fds[0].revents != 0) return SiteProgramEnd::kExited;
    if (ready == 0) return SiteProgramEnd::kTimedOut;
    if (fds[3].revents != 0) return SiteProgramEnd::kCalledOff;
    if (fds[2].revents != 0) talk.Write();
    if (fds[1].revents != 0) (void)talk.Read();
    if (talk.too_much()) return SiteProgramEnd::kTooMuch;
    // A program that writes without end would have its output read and its deadline never looked at.
    if (Clock::now() >= end) return SiteProgramEnd::kTimedOut;
  }
}

}  // namespace

std::string Describe(const SiteProgramEnd& end) {
  std::string text = end.how == SiteProgramEnd::kExited      ? Cat("exit code ", end.code)
                     : end.how == SiteProgramEnd::kSignaled  ? Cat("ended by signal ", end.code)
                     : end.how == SiteProgramEnd::kTimedOut  ? "did not end in time and was killed"
                     : end.how == SiteProgramEnd::kCalledOff ? "was called off"
                                                             : Cat("more than ", kAnswerBytesMax, " bytes");
  std::string_view words = Trim(end.output);
  words = words.substr(words.rfind('\n') == words.npos ? 0 : words.rfind('\n') + 1);
  if (!words.empty()) text += Cat(": ", Printable(words.substr(0, kLineBytesShown)));
  return text;
}

Result<SiteProgramEnd> RunSiteProgram(const SiteProgram& what) {
  PipeEnds in = TRY(MakePipe()), out = TRY(MakePipe());
  TRY(SetNonblocking(in.write.get()));
  TRY(SetNonblocking(out.read.get()));
  const Clock::time_point end = Clock::now() + what.deadline;
  std::vector<std::pair<int, int>> fds = {{0, in.read.get()}, {1, out.write.get()}};
  if (what.output == SiteProgram::kWords) fds.emplace_back(2, out.write.get());
  Process child = TRY(Spawn({.argv = what.argv,
                             .env = std::vector<std::string>{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                             .cwd = "/",
                             .fds = fds,
                             .new_session = true,
                             .parent_death_signal = SIGKILL}));
  in.read.reset();
  out.write.reset();
  Talk talk{std::move(in.write), std::move(out.read), what.input, what.output, {}};
  Result<SiteProgramEnd::How> how = Attend(talk, child.pidfd(), what.call_off_fd, end);
  // Until it is reaped its session's number is nobody else's.
  ::kill(-child.pid(), SIGKILL);
  [[maybe_unused]] auto killed = child.Signal(SIGKILL);
  ExitStatus status = TRY(child.Wait());
  SiteProgramEnd ended;
  ended.how = TRY(std::move(how));
  // What is in the pipe, and no more: somebody who left the session may go on writing.
  for (std::size_t left = kPipeBytes; left > 0 && talk.from && !talk.too_much() && talk.Read();)
    left -= std::min(left, kPieceBytes);
  if (ended.how == SiteProgramEnd::kExited) {
    ended.code = status.signaled() ? status.signal() : status.exit_code();
    if (status.signaled()) ended.how = SiteProgramEnd::kSignaled;
    if (talk.too_much()) ended.how = SiteProgramEnd::kTooMuch;
  }
  if (what.output == SiteProgram::kWords && talk.output.size() > kWordsBytesKept)
    talk.output.erase(0, talk.output.size() - kWordsBytesKept);
  ended.output = std::move(talk.output);
  return ended;
}

}  // namespace slipway::scheduler
