// SPDX-License-Identifier: Apache-2.0
// slipway instance logs: what an instance wrote, also one that has ended.
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstdio>

#include "cli/front/instance_commands.h"
#include "launcher/client/instance_folder.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway instance logs",
          .summary = "print what an instance's script wrote",
          .examples = {{"slipway instance logs db", "also when it has ended"},
                       {"slipway instance logs -f --err db", "its errors, until it ends"}},
          .options = {{.name = "follow", .letter = 'f', .help = "wait for more until the instance ends"},
                      {.name = "err", .letter = 'e', .help = "its standard error instead of its output"}},
          .positionals = {{"NAME", Positional::kOne, "the instance"}}};
}

constexpr int kLookAgainMs = 1000;  // at whether it still runs

Result<> CopyNew(int log_fd) {
  char buffer[64 << 10];
  for (;;) {
    ssize_t got = ::read(log_fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoFail("reading the log");
    if (got == 0) return {};
    TRY(WriteAll(STDOUT_FILENO, {buffer, static_cast<std::size_t>(got)}));
  }
}

Result<> Follow(int log_fd, const std::string& path, const std::string& parent, const std::string& name) {
  UniqueFd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes || ::inotify_add_watch(changes.get(), path.c_str(), IN_MODIFY) < 0)
    return ErrnoFail("watching", path);
  for (;;) {
    bool runs = static_cast<bool>(FindInstance(parent, name));
    TRY(CopyNew(log_fd));
    if (!runs) return {};
    pollfd fd{changes.get(), POLLIN, 0};
    ::poll(&fd, 1, kLookAgainMs);
    char events[4096];
    while (::read(changes.get(), events, sizeof events) > 0) {
    }
  }
}

Result<int> Logs(const Parsed& parsed) {
  const std::string& name = parsed.positionals()[0];
  TRY(CheckInstanceName(name));
  User user = CallingUser();
  std::string path = Cat(TRY(InstanceLogFolder(user)), "/", name, parsed.Has("err") ? ".err" : ".out");
  auto log = Open(path, O_RDONLY);
  if (!log && log.error().sys_errno == ENOENT)
    return Fail(Code::kNotFound, "no instance named ", name, " was started on this host by you");
  if (!log) return Failure(std::move(log).error());
  if (parsed.Has("follow")) {
    TRY(Follow(log->get(), path, TRY(InstancesFolder(user)), name));
  } else {
    TRY(CopyNew(log->get()));
  }
  return 0;
}

}  // namespace

const InstanceCommand kInstanceLogs{"logs", Declare, Logs};

}  // namespace slipway::cli
