// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/squashfuse.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "base/os/mount.h"
#include "base/os/process.h"
#include "launcher/container/privilege.h"

namespace slipway {
namespace {

Result<std::string> FindServer() {
  for (const char* path :
       {"/usr/bin/squashfuse_ll", "/usr/local/bin/squashfuse_ll", "/usr/libexec/slipway/squashfuse_ll",
        "/usr/libexec/apptainer/bin/squashfuse_ll"}) {
    if (::access(path, X_OK) == 0) return std::string(path);
  }
  return Fail(Code::kFailedPrecondition,
              "squashfuse_ll is not installed on this node (Debian: apt install squashfuse); it shows a SIF "
              "without privilege");
}

[[noreturn]] void BecomeServer(const std::string& program, const std::string& options,
                               const std::string& archive, const std::string& mount_point, int image_fd,
                               int fuse_fd, int stderr_fd) {
  // A signal meant for the tasks (kill(-1), Ctrl-C) must not end it; libfuse leaves ignored ones ignored.
  ::setsid();
  for (int number = 1; number < 32; ++number) {
    if (number != SIGKILL && number != SIGSTOP && number != SIGCHLD) ::signal(number, SIG_IGN);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  // Numbers of their own, above 9: the names "/dev/fd/N" given to the server must be the ones it inherits.
  bool placed = null_fd >= 0 && ::dup2(null_fd, 0) >= 0 && ::dup2(null_fd, 1) >= 0 &&
                ::dup2(stderr_fd, 2) >= 0 && SetCloexec(image_fd, false) && SetCloexec(fuse_fd, false) &&
                DropAllPrivilege();
  const char* argv[] = {program.c_str(),     "-f",   "-o", options.c_str(), archive.c_str(),
                        mount_point.c_str(), nullptr};
  if (placed) ::execv(program.c_str(), const_cast<char* const*>(argv));
  constexpr std::string_view kFailed = "could not be started";
  [[maybe_unused]] auto ignored = ::write(stderr_fd, kFailed.data(), kFailed.size());
  ::_exit(127);
}

}  // namespace

Result<FuseImage> ServeImage(const ImageSource& image, int image_fd) {
  std::string program = TRY(FindServer());
  // Opened inside the user namespace: one from outside is refused by the mount.
  auto opened = Open("/dev/fuse", O_RDWR);
  if (!opened)
    return Failure(std::move(opened).error().Context(
        "a SIF is shown through FUSE here, which this node does not allow"));
  UniqueFd fuse = std::move(*opened);
  FuseImage served;
  served.mount = TRY(MountNew("fuse",
                              {{"source", "squashfuse"},
                               {"subtype", "squashfuse"},
                               {"fd", std::to_string(fuse.get())},
                               {"rootmode", "40000"},
                               {"user_id", std::to_string(::geteuid())},
                               {"group_id", std::to_string(::getegid())},
                               {"default_permissions", ""}},
                              MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  PipeEnds words = TRY(MakePipe());
  std::string options = Cat("offset=", image.offset);
  std::string archive = Cat("/proc/self/fd/", image_fd), mount_point = Cat("/dev/fd/", fuse.get());
  Process server = TRY(Clone3({}));
  if (!server) BecomeServer(program, options, archive, mount_point, image_fd, fuse.get(), words.write.get());
  served.server = server.pid();
  served.stderr_pipe = std::move(words.read);
  TRY(SetNonblocking(served.stderr_pipe.get()));
  return served;
}

Error WithServersWords(Error error, const FuseImage& image) {
  if (!image.stderr_pipe) return error;
  // The server closes its end as it goes; one that lives has nothing to add.
  pollfd poll_fd{image.stderr_pipe.get(), POLLIN, 0};
  ::poll(&poll_fd, 1, 200);
  std::array<char, 512> words;
  ssize_t n = ::read(image.stderr_pipe.get(), words.data(), words.size());
  if (n <= 0) return error;
  std::string text(words.data(), static_cast<std::size_t>(n));
  text = text.substr(0, text.find_last_not_of('\n') + 1);
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  error.message += Cat(" (squashfuse: ", text, ")");
  return error;
}

}  // namespace slipway
