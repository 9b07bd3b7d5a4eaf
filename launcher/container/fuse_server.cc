// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/fuse_server.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>

#include "base/os/process.h"
#include "base/os/program.h"
#include "base/os/signals.h"
#include "launcher/container/privilege.h"

namespace slipway {
namespace {

void BecomeDeaf(bool outlives_us) {
  // A signal meant for the tasks (kill(-1), Ctrl-C) must not end it; libfuse leaves ignored ones ignored.
  ::setsid();
  for (int number = 1; number < 32; ++number) {
    if (number != SIGKILL && number != SIGSTOP && number != SIGCHLD) ::signal(number, SIG_IGN);
  }
  UnblockSignals();
  ::prctl(PR_SET_PDEATHSIG, outlives_us ? 0 : SIGKILL);
}

// The container's tasks have the server's uid, and being undumpable does not survive its exec. But nobody may
// trace, look into or take a descriptor from (/dev/fuse!) a process that has a capability which he lacks:
// this one gives no right in a user namespace other than the host's.
constexpr CapabilitySet kOutOfTheTasksReach = CapabilityBit(CAP_WAKE_ALARM);

[[noreturn]] void BecomeServer(const FuseCommand& command, int stderr_fd) {
  BecomeDeaf(command.outlives_us);
  int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  // Numbers of their own, above 9: the names "/dev/fd/N" given to the server must be the ones it inherits.
  bool placed =
      null_fd >= 0 && ::dup2(null_fd, 0) >= 0 && ::dup2(null_fd, 1) >= 0 && ::dup2(stderr_fd, 2) >= 0;
  for (int fd : command.fds) placed = placed && SetCloexec(fd, false);
  placed = placed && (!command.before || command.before());
  placed = placed && KeepPrivilege(command.keeps != 0 ? command.keeps : kOutOfTheTasksReach);
  std::vector<char*> argv;
  for (const std::string& argument : command.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // Nothing of the environment of whoever started us: in the brokered way that is a daemon of root's.
  char path[] = "PATH=/usr/bin:/bin";
  char* envp[] = {path, nullptr};
  if (placed) ::execve(command.program.c_str(), argv.data(), envp);
  constexpr std::string_view kFailed = "could not be started";
  [[maybe_unused]] auto ignored = ::write(stderr_fd, kFailed.data(), kFailed.size());
  ::_exit(127);
}

}  // namespace

Result<FuseServer> StartFuseServer(const FuseCommand& command) {
  FuseServer server;
  server.program = command.program.substr(command.program.rfind('/') + 1);
  PipeEnds words = TRY(MakePipe());
  Process process = TRY(Clone3({}));
  if (!process) BecomeServer(command, words.write.get());
  server.pid = process.pid();
  server.stderr_pipe = std::move(words.read);
  TRY(SetNonblocking(server.stderr_pipe.get()));
  return server;
}

Result<std::string> FindFuseProgram(const std::string& program, const std::string& package,
                                    const std::string& purpose) {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/", "/usr/sbin/", "/usr/libexec/slipway/",
                             "/usr/libexec/apptainer/bin/"}) {
    std::string path = folder + program;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(Code::kFailedPrecondition, program, " is not installed on this node (Debian: apt install ",
              package, "); it ", purpose);
}

std::string OwnFuseProgram(const std::string& program) {
  std::string self = OwnProgram().value_or("");
  // A sealed copy of the starter, made by the user whose rights are all we ever had: he says where it is
  // from.
  if (self.starts_with("/memfd:")) self = program_invocation_name;
  return FindBeside(self, program).value_or("");
}

Result<UniqueFd> OpenFuseDevice() {
  auto opened = Open("/dev/fuse", O_RDWR);
  if (!opened)
    return Failure(
        std::move(opened).error().Context("a user's own image is shown through FUSE here, which this node "
                                          "does not allow (its admin: chmod 0666 "
                                          "/dev/fuse)"));
  return opened;
}

Error WithServersWords(Error error, const FuseServer& server) {
  if (!server.stderr_pipe) return error;
  // The server closes its end as it goes; one that lives has nothing to add.
  pollfd poll_fd{server.stderr_pipe.get(), POLLIN, 0};
  ::poll(&poll_fd, 1, 200);
  std::array<char, 512> words;
  ssize_t n = ::read(server.stderr_pipe.get(), words.data(), words.size());
  if (n <= 0) return error;
  std::string text(words.data(), static_cast<std::size_t>(n));
  text = text.substr(0, text.find_last_not_of('\n') + 1);
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  error.message += Cat(" (", server.program, ": ", text, ")");
  return error;
}

}  // namespace slipway
