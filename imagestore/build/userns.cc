// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/userns.h"

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <vector>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::build {

namespace {

constexpr std::size_t kFrameMax = 16 << 20;
constexpr int kCancelPollMs = 200, kEndMs = 10'000;
constexpr char kSeparator = '\x1f';

// One byte of kind, four of length, then the bytes. Both ends are this program.
Result<> SendFrame(int fd, char kind, std::string_view bytes) {
  std::uint32_t size = static_cast<std::uint32_t>(bytes.size());
  std::string frame(1, kind);
  frame.append(reinterpret_cast<const char*>(&size), sizeof size).append(bytes);
  return WriteAll(fd, frame);
}

struct IdRange {
  std::uint64_t first = 0, count = 0;
};

Result<IdRange> Subordinate(const std::string& file, std::uint64_t id) {
  const passwd* account = ::getpwuid(static_cast<uid_t>(::getuid()));
  std::string name = account != nullptr ? account->pw_name : "";
  auto text = ReadFile(file);
  for (const std::string& line : Split(text.value_or(""), '\n')) {
    std::vector<std::string> fields = Split(line, ':');
    if (fields.size() != 3 || (fields[0] != name && fields[0] != Cat(id))) continue;
    auto first = ParseNumber(fields[1], 1, UINT32_MAX), count = ParseNumber(fields[2], 1, UINT32_MAX);
    if (first && count) return IdRange{*first, *count};
  }
  return Fail(Code::kNotFound, "building as an ordinary user needs subordinate ids, but ", file,
              " has none for ", name.empty() ? Cat("uid ", id) : name,
              " (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ", name, ")");
}

Result<> Map(const char* program, pid_t pid, std::uint64_t own, const IdRange& range) {
  // In a session of its own it does not die of a terminal's Ctrl-C: who cleans up needs it, too.
  auto ran =
      RunAndCapture({.argv = {program, Cat(pid), "0", Cat(own), "1", "1", Cat(range.first), Cat(range.count)},
                     .new_session = true});
  if (!ran && ran.error().code == Code::kNotFound) {
    return Fail(Code::kNotFound, "building as an ordinary user needs ", program, " (apt install uidmap)");
  }
  if (!ran) return Failure(std::move(ran).error());
  if (ran->status.exit_code() != 0)
    return Fail(Code::kFailedPrecondition, program, " refused the map of subordinate ids");
  return {};
}

// In the child.
std::atomic<bool> told_to_end{false};
void TellToEnd(int) { told_to_end = true; }

// A section's processes end after the one that they are below has been killed, and meanwhile they go on
// writing: so the work ends them itself, and waits for that, before anybody removes what they wrote.
void End(Process& child) {
  (void)child.Signal(SIGTERM);
  pollfd ended{child.pidfd(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, kEndMs);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) (void)child.Signal(SIGKILL);
}

[[noreturn]] void Work(const std::function<Result<std::string>(const FrameSink&)>& work, int go_fd,
                       int frames_fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // A terminal's Ctrl-C comes to both of us; without a handler the work would die of it, as it would of a
  // pipe that nobody reads any more.
  for (int number : {SIGINT, SIGTERM, SIGHUP}) ::signal(number, TellToEnd);
  ::signal(SIGPIPE, SIG_IGN);
  char go = 0;
  if (::read(go_fd, &go, 1) != 1) ::_exit(125);
  FrameSink sink;
  sink.cancelled = &told_to_end;
  sink.log = [frames_fd](std::string_view line) { (void)SendFrame(frames_fd, 'L', line); };
  sink.progress = [frames_fd](const BuildProgress& p) {
    (void)SendFrame(frames_fd, 'P',
                    Join({p.phase, p.detail, Cat(p.done), Cat(p.total)}, std::string(1, kSeparator)));
  };
  Result<std::string> outcome;
  if (::setgroups(0, nullptr) < 0 || ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0) {
    outcome = ErrnoFail("becoming root of the user namespace");
  } else {
    outcome = work(sink);
  }
  if (outcome) {
    (void)SendFrame(frames_fd, 'R', *outcome);
  } else {
    const Error& error = outcome.error();
    (void)SendFrame(frames_fd, 'E',
                    Join({Cat(static_cast<int>(error.code)), Cat(error.sys_errno), error.message},
                         std::string(1, kSeparator)));
  }
  ::_exit(outcome ? 0 : 1);
}

Result<bool> ReadExactly(int fd, char* to, std::size_t size, const std::atomic<bool>* cancelled) {
  while (size > 0) {
    pollfd waiting{fd, POLLIN, 0};
    if (cancelled != nullptr && cancelled->load()) return Fail(Code::kCancelled, "cancelled");
    if (::poll(&waiting, 1, kCancelPollMs) <= 0) continue;
    ssize_t n = ::read(fd, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("read");
    if (n == 0) return false;
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

Result<std::string> Follow(int fd, const FrameHandlers& handlers, const std::atomic<bool>* cancelled) {
  for (;;) {
    char kind = 0;
    std::uint32_t size = 0;
    std::string bytes;
    bool whole = TRY(ReadExactly(fd, &kind, 1, cancelled)) &&
                 TRY(ReadExactly(fd, reinterpret_cast<char*>(&size), sizeof size, cancelled));
    if (!whole || size > kFrameMax)
      return Fail(Code::kInternal, "the build's process ended without a result");
    bytes.resize(size);
    if (!TRY(ReadExactly(fd, bytes.data(), size, cancelled)))
      return Fail(Code::kInternal, "the build's process ended without a result");
    std::vector<std::string> fields = Split(bytes, kSeparator);
    if (kind == 'R') return bytes;
    if (kind == 'L' && handlers.log) handlers.log(bytes);
    if (kind == 'P' && handlers.progress && fields.size() == 4) {
      handlers.progress({fields[0], fields[1], ParseNumber(fields[2], 0, UINT64_MAX).value_or(0),
                         ParseNumber(fields[3], 0, UINT64_MAX).value_or(0)});
    }
    if (kind == 'E' && fields.size() >= 3) {
      Error error{static_cast<Code>(ParseNumber(fields[0], 0, 16).value_or(2)),
                  static_cast<int>(ParseNumber(fields[1], 0, 4096).value_or(0)), fields[2]};
      return Failure(std::move(error));
    }
  }
}

}  // namespace

Result<std::string> InUserNamespace(const std::function<Result<std::string>(const FrameSink&)>& work,
                                    const FrameHandlers& handlers, const std::atomic<bool>* cancelled) {
  uid_t uid = ::getuid();
  gid_t gid = ::getgid();
  IdRange uids = TRY(Subordinate("/etc/subuid", uid)), gids = TRY(Subordinate("/etc/subgid", uid));
  PipeEnds go = TRY(MakePipe()), frames = TRY(MakePipe());
  auto child = Clone3({.flags = CLONE_NEWUSER | CLONE_NEWNS});
  if (!child)
    return Failure(
        std::move(child).error().Context("making a user namespace (does this host allow them to users?)"));
  if (!*child) {
    go.write.reset();
    frames.read.reset();
    Work(work, go.read.get(), frames.write.get());
  }
  frames.write.reset();
  auto outcome = [&]() -> Result<std::string> {
    TRY(Map("newuidmap", child->pid(), uid, uids));
    TRY(Map("newgidmap", child->pid(), gid, gids));
    TRY(WriteAll(go.write.get(), "g"));
    return Follow(frames.read.get(), handlers, cancelled);
  }();
  if (!outcome) {
    // Whatever it waits for, it waits no more.
    go.write.reset();
    frames.read.reset();
    End(*child);
  }
  (void)child->Wait();
  return outcome;
}

std::string EncodeSummary(const squashfs::PackSummary& summary) {
  std::vector<std::string> fields = {Cat(summary.entries), Cat(summary.bytes_in), Cat(summary.bytes_out),
                                     Cat(summary.dropped_count)};
  fields.insert(fields.end(), summary.dropped.begin(), summary.dropped.end());
  return Join(fields, std::string(1, kSeparator));
}

Result<squashfs::PackSummary> DecodeSummary(std::string_view bytes) {
  std::vector<std::string> fields = Split(bytes, kSeparator);
  if (fields.size() < 4) return Fail(Code::kInternal, "the build's process sent no summary");
  squashfs::PackSummary summary;
  summary.entries = TRY(ParseNumber(fields[0], 0, UINT64_MAX));
  summary.bytes_in = TRY(ParseNumber(fields[1], 0, UINT64_MAX));
  summary.bytes_out = TRY(ParseNumber(fields[2], 0, UINT64_MAX));
  summary.dropped_count = TRY(ParseNumber(fields[3], 0, UINT64_MAX));
  summary.dropped.assign(fields.begin() + 4, fields.end());
  return summary;
}

}  // namespace slipway::build
