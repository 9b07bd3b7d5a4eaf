// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/os/fd.h"
#include "base/os/mount.h"

namespace slipway::build {

namespace {

constexpr std::size_t kLastLines = 10, kLineBytesMax = 4096;
constexpr int kCancelPollMs = 200;

Result<> BindInto(int root_fd, const std::string& host_path, const std::string& image_path, bool directory) {
  UniqueFd tree = TRY(OpenTreeClone(AT_FDCWD, host_path, directory));
  UniqueFd target = TRY(OpenInRoot(root_fd, image_path, directory ? O_PATH | O_DIRECTORY : O_PATH));
  return AttachMount(tree.get(), target.get());
}

Result<> MountProc(int root_fd) {
  UniqueFd target = TRY(OpenInRoot(root_fd, "/proc", O_PATH | O_DIRECTORY));
  auto proc = MountNew("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (proc) return AttachMount(proc->get(), target.get());
  // Where parts of the host's are masked, the kernel refuses a user namespace a fresh one.
  return BindInto(root_fd, "/proc", "/proc", true);
}

Result<> MountDev(int root_fd) {
  UniqueFd dev = TRY(MountNew("tmpfs", {{"mode", "0755"}}, MOUNT_ATTR_NOSUID));
  UniqueFd target = TRY(OpenInRoot(root_fd, "/dev", O_PATH | O_DIRECTORY));
  TRY(AttachMount(dev.get(), target.get()));
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    UniqueFd made = TRY(OpenAt(dev.get(), name, O_WRONLY | O_CREAT | O_EXCL, 0666));
    TRY(BindInto(root_fd, Cat("/dev/", name), Cat("/dev/", name), false));
  }
  for (auto [name, to] : {std::pair{"fd", "/proc/self/fd"},
                          {"stdin", "/proc/self/fd/0"},
                          {"stdout", "/proc/self/fd/1"},
                          {"stderr", "/proc/self/fd/2"},
                          {"ptmx", "pts/ptmx"}}) {
    if (::symlinkat(to, dev.get(), name) < 0) return ErrnoFail("symlink in /dev", name);
  }
  for (auto [name, mode] : {std::pair{"shm", 01777}, {"pts", 0755}}) {
    if (::mkdirat(dev.get(), name, 0755) < 0 || ::fchmodat(dev.get(), name, static_cast<mode_t>(mode), 0) < 0)
      return ErrnoFail("mkdir in /dev", name);
  }
  auto pts = MountNew("devpts", {{"newinstance", ""}, {"ptmxmode", "0666"}, {"mode", "0620"}},
                      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  if (!pts) return {};  // terminals are a nicety here
  UniqueFd pts_target = TRY(OpenInRoot(root_fd, "/dev/pts", O_PATH | O_DIRECTORY));
  return AttachMount(pts->get(), pts_target.get());
}

// In the child, in its new mount namespace.
Result<> EnterRoot(const std::string& root) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
    return ErrnoFail("making / a slave mount");
  UniqueFd self = TRY(OpenTreeClone(AT_FDCWD, root, false));
  UniqueFd place = TRY(Open(root, O_PATH | O_DIRECTORY));
  TRY(AttachMount(self.get(), place.get()));
  UniqueFd root_fd = TRY(Open(root, O_PATH | O_DIRECTORY));
  TRY_CONTEXT(MountProc(root_fd.get()), "mounting /proc in the image");
  TRY_CONTEXT(MountDev(root_fd.get()), "mounting /dev in the image");
  TRY_CONTEXT(BindInto(root_fd.get(), "/sys", "/sys", true), "binding /sys into the image");
  for (const char* file : {"/etc/resolv.conf", "/etc/hosts"}) {
    if (::access(file, R_OK) == 0)
      TRY_CONTEXT(BindInto(root_fd.get(), file, file, false), "binding into the image");
  }
  return PivotInto(root_fd.get());
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void Become(const RunOptions& options, int output_fd) {
  auto fail = [](const std::string& message) {
    (void)WriteAll(2, Cat("slipway: ", message, "\n"));
    ::_exit(125);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null, 0);
  ::dup2(output_fd, 1);
  ::dup2(output_fd, 2);
  if (!options.root.empty()) {
    if (auto entered = EnterRoot(options.root); !entered) fail(entered.error().message);
  } else if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0) {
    fail("cannot make / a slave mount");
  }
  ::syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) ::signal(signal_number, SIG_DFL);
  ::umask(022);
  std::vector<char*> argv = Pointers(options.argv), envp = Pointers(options.env);
  ::execvpe(argv[0], argv.data(), envp.data());
  fail(ErrnoErrorOf(errno, "cannot run", options.argv[0]).message);
  ::_exit(125);
}

class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& log) : log_(log) {}
  void Add(std::string_view bytes) {
    for (char c : bytes) {
      if (c == '\n' || line_.size() >= kLineBytesMax) End();
      if (c != '\n' && c != '\r') line_.push_back(c);
    }
  }
  void End() {
    if (log_) log_(line_);
    last_.push_back(std::exchange(line_, {}));
    if (last_.size() > kLastLines) last_.erase(last_.begin());
  }
  std::vector<std::string> Take() {
    if (!line_.empty()) End();
    return std::move(last_);
  }

 private:
  const std::function<void(std::string_view)>& log_;
  std::string line_;
  std::vector<std::string> last_;
};

// A daemon that a section left behind may hold the pipe open, so the end of the process ends the reading.
Result<> Follow(Process& child, int pipe_fd, const RunOptions& options, Lines& lines) {
  char buffer[1 << 14];
  for (;;) {
    if (options.cancelled != nullptr && options.cancelled->load()) {
      // The first process of a PID namespace takes all others with it.
      (void)child.Signal(SIGKILL);
      (void)child.Wait();
      return Fail(Code::kCancelled, "cancelled");
    }
    pollfd fds[2] = {{pipe_fd, POLLIN, 0}, {child.pidfd(), POLLIN, 0}};
    if (::poll(fds, 2, kCancelPollMs) < 0 && errno != EINTR) return ErrnoFail("poll");
    if (fds[0].revents != 0) {
      ssize_t n = ::read(pipe_fd, buffer, sizeof buffer);
      if (n > 0) lines.Add({buffer, static_cast<std::size_t>(n)});
      if (n == 0) return {};
    } else if ((fds[1].revents & POLLIN) != 0) {
      return {};
    }
  }
}

}  // namespace

Result<RunOutcome> Run(const RunOptions& options) {
  PipeEnds pipe = TRY(MakePipe());
  Process child = TRY(Clone3({.flags = CLONE_NEWNS | CLONE_NEWPID}));
  if (!child) Become(options, pipe.write.get());
  pipe.write.reset();
  Lines lines(options.log);
  TRY(Follow(child, pipe.read.get(), options, lines));
  RunOutcome outcome;
  outcome.status = TRY(child.Wait());
  outcome.last_lines = lines.Take();
  return outcome;
}

}  // namespace slipway::build
