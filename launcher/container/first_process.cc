// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/first_process.h"

#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "base/os/mount.h"
#include "base/os/process.h"
#include "launcher/container/report.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kWritingMax(30);

bool Wants(const LaunchSpec& spec, Mount::Type type) {
  for (const Mount& mount : spec.mounts) {
    if (mount.type == type) return true;
  }
  return false;
}

void Say(std::string_view line) {
  [[maybe_unused]] auto said = WriteAll(STDERR_FILENO, Cat("slipway: ", line, "\n"));
}

// Until the image is whole and free for the next container.
void AwaitWriter(Process& writer) {
  pollfd ended{writer.pidfd(), POLLIN, 0};
  constexpr auto kMax_ms = std::chrono::milliseconds(kWritingMax).count();
  if (::poll(&ended, 1, static_cast<int>(kMax_ms)) != 1) {
    return Say(Cat("warning: the ext3 image is still being written, by process ", writer.pid(),
                   "; it is locked until that is done"));
  }
  auto status = writer.Wait();
  if (!status || status->wait_status != 0)
    Say("error: a server of the ext3 image was killed: what had not been synced may be lost");
}

// The process that stays outside only waits for the init and says how that ended.
[[noreturn]] void WaitOutside(Process& init, std::optional<ExtWriter>& writer) {
  std::vector<int> kept = {init.pidfd()};
  if (writer) {
    kept.push_back(writer->process().pidfd());
  } else {
    for (int number : {0, 1, 2}) ::close(number);
  }
  if (!CloseAllBut(kept)) ::_exit(kExitOurs);  // our end is the init's: it asked for that
  auto status = init.Wait();
  if (writer) AwaitWriter(writer->process());
  ::_exit(status ? status->exit_code() : kExitOurs);
}

// In the PID 1 that it is to show.
Result<UniqueFd> MakeProc(const LaunchSpec& spec) {
  if (!Wants(spec, Mount::kProc)) return UniqueFd();
  return MountNew("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

// True in the new namespace's PID 1, with its procfs; false in the same process when there can be no such
// namespace: without a /proc of its own it would show the wrong processes.
Result<bool> EnterPidNamespace(const LaunchSpec& spec, Brought& brought) {
  PipeEnds stands = TRY(MakePipe());
  auto cloned = Clone3({.flags = CLONE_NEWPID});
  if (!cloned) return false;
  if (!*cloned) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto proc = MakeProc(spec);
    if (!proc) ::_exit(0);
    brought.fresh_proc = std::move(*proc);
    if (::write(stands.write.get(), "y", 1) != 1) ::_exit(kExitOurs);
    return true;
  }
  stands.write.reset();
  char answer = 0;
  ssize_t n;
  do {
    n = ::read(stands.read.get(), &answer, 1);
  } while (n < 0 && errno == EINTR);
  if (n == 1) WaitOutside(*cloned, brought.ext_writer);
  TRY(cloned->Wait());
  return false;
}

// Without a PID namespace: who waits for the writer must have none of the container's mounts.
Result<> LeaveOneOutside(std::optional<ExtWriter>& writer) {
  Process init = TRY(Clone3({}));
  if (init) WaitOutside(init, writer);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return {};
}

}  // namespace

Result<FirstProcess> BecomeFirstProcess(const Birth& birth, const LaunchSpec& spec,
                                        const std::vector<UniqueFd>& fds) {
  FirstProcess first{.pid_namespace = birth.pid_namespace};
  first.brought.ext_writer = TRY(ExtWriter::StartFor(spec, fds, birth));
  if (first.pid_namespace) {
    first.brought.fresh_proc = TRY(MakeProc(spec));
    return first;
  }
  if (spec.pid_namespace && !birth.proc_masked)
    first.pid_namespace = TRY(EnterPidNamespace(spec, first.brought));
  if (!first.brought.ext_writer) return first;
  if (!first.pid_namespace) TRY(LeaveOneOutside(first.brought.ext_writer));
  if (::unshare(CLONE_NEWNS) < 0) return ErrnoFail("making a mount namespace");
  return first;
}

}  // namespace slipway
