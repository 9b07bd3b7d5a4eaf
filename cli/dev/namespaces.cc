// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/os/mount.h"
#include "base/os/signals.h"
#include "base/text/text.h"
#include "cli/dev/layout.h"

namespace slipway::dev {
namespace {

Result<> WriteControl(const std::string& path, const std::string& text) {
  UniqueFd fd = TRY(Open(path, O_WRONLY));
  TRY_CONTEXT(WriteAll(fd.get(), text), path);
  return {};
}

std::string ReadSysctl(const char* name) {
  auto text = ReadFile(Cat("/proc/sys/", name), 64);
  return text ? std::string(Trim(*text)) : std::string();
}

// EPERM and ENOSPC have one cause each that an admin can change; which, the sysctls tell.
Failure UserNamespaceRefused(int error) {
  std::string hint = "this kernel or the container we are in forbids them";
  if (ReadSysctl("kernel/unprivileged_userns_clone") == "0")
    hint = "sysctl kernel.unprivileged_userns_clone is 0; root can set it to 1";
  if (ReadSysctl("user/max_user_namespaces") == "0")
    hint = "sysctl user.max_user_namespaces is 0; root can raise it";
  if (ReadSysctl("kernel/apparmor_restrict_unprivileged_userns") == "1") {
    hint = "sysctl kernel.apparmor_restrict_unprivileged_userns is 1; root can set it to 0";
  }
  Error cause = ErrnoErrorOf(error, "unshare(CLONE_NEWUSER)");
  return Fail(Code::kPermissionDenied, "a rootless cluster needs a user namespace: ", cause.message, "; ",
              hint);
}

Result<> MakeCapabilitiesAmbient() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) < 0) return ErrnoFail("capget");
  for (auto& part : data) part.inheritable = part.permitted;
  if (::syscall(SYS_capset, &header, data) < 0) return ErrnoFail("capset");
  for (int cap = 0; cap <= 63; ++cap) {
    if ((data[cap / 32].permitted >> (cap % 32) & 1) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
      return ErrnoFail("prctl(PR_CAP_AMBIENT_RAISE)", std::to_string(cap));
  }
  return {};
}

Result<> MountTmpfs(const char* target, const char* options) {
  if (::mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
    return ErrnoFail("mount tmpfs on", target);
  return {};
}

// What lies under `hidden` and is to stay visible is picked up before and put back after the new mount.
Result<> HideBehindTmpfs(const std::string& hidden, const std::vector<std::string>& keep,
                         const char* options) {
  std::vector<std::pair<std::string, UniqueFd>> kept;
  for (const std::string& path : keep) {
    if (path.starts_with(hidden + "/")) kept.emplace_back(path, TRY(OpenTreeClone(AT_FDCWD, path, true)));
  }
  TRY(MountTmpfs(hidden.c_str(), options));
  for (auto& [path, tree] : kept) {
    TRY(MakeDirectories(path));
    UniqueFd place = TRY(Open(path, O_PATH | O_DIRECTORY));
    TRY(AttachMount(tree.get(), place.get()));
  }
  return {};
}

// In the child that makes a node.
Result<> FurnishNode(const NodeShape& shape) {
  if (::sethostname(shape.host_name.c_str(), shape.host_name.size()) < 0)
    return ErrnoFail("sethostname", shape.host_name);
  // Slave, not private: homes that the host automounts later must appear here too.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0) return ErrnoFail("make / slave");
  for (const char* path : {"/tmp", "/var/tmp"}) TRY(HideBehindTmpfs(path, shape.keep, "mode=1777"));
  TRY(HideBehindTmpfs("/dev/shm", shape.keep, "mode=1777"));
  // A minimal system has no /etc/hosts to put ours over; names are a convenience there, addresses do the
  // work.
  if (!shape.hosts_file.empty() && ::access("/etc/hosts", F_OK) == 0 &&
      ::mount(shape.hosts_file.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) < 0) {
    return ErrnoFail("bind on /etc/hosts", shape.hosts_file);
  }
  return {};
}

int EnterNode(const NodeNamespaces& node) {
  if (node.network && ::setns(node.network.get(), CLONE_NEWNET) < 0) return -1;
  if (node.uts && ::setns(node.uts.get(), CLONE_NEWUTS) < 0) return -1;
  if (node.ipc && ::setns(node.ipc.get(), CLONE_NEWIPC) < 0) return -1;
  if (node.mounts && ::setns(node.mounts.get(), CLONE_NEWNS) < 0) return -1;
  return 0;
}

int DropTo(uid_t uid, gid_t gid) {
  if (uid == 0) return 0;
  if (::setgroups(0, nullptr) < 0 || ::setresgid(gid, gid, gid) < 0) return -1;
  return ::setresuid(uid, uid, uid);
}

[[noreturn]] void BecomeDaemon(const NodeNamespaces& node, const DaemonStart& start, char* const* argv,
                               int log_fd, int stdin_fd, int report_fd) {
  UnblockSignals();
  ::signal(SIGPIPE, SIG_DFL);
  ::setsid();
  if (EnterNode(node) == 0 && ::dup2(stdin_fd, 0) >= 0 && ::dup2(log_fd, 1) >= 0 && ::dup2(log_fd, 2) >= 0 &&
      DropTo(start.uid, start.gid) == 0 && ::chdir("/") == 0) {
    ::syscall(SYS_close_range, 3, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
    ::execv(argv[0], argv);
  }
  int error = errno;
  [[maybe_unused]] auto n = ::write(report_fd, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

Result<> EnterUserNamespace() {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) < 0) return UserNamespaceRefused(errno);
  TRY(WriteControl("/proc/self/setgroups", "deny"));
  TRY(WriteControl("/proc/self/uid_map", Cat(uid, " ", uid, " 1")));
  TRY(WriteControl("/proc/self/gid_map", Cat(gid, " ", gid, " 1")));
  return MakeCapabilitiesAmbient();
}

bool CanMountProc() {
  auto child = Clone3({.flags = CLONE_NEWPID | CLONE_NEWNS});
  if (!child) return false;
  if (!*child) {
    bool mounted = ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 &&
                   ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
    ::_exit(mounted ? 0 : 1);
  }
  auto status = child->Wait();
  return status && status->exit_code() == 0;
}

Result<NodeNamespaces> MakeNode(const NodeShape& shape) {
  PipeEnds report = TRY(MakePipe());
  PipeEnds hold = TRY(MakePipe());
  Process child = TRY(Clone3({.flags = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWIPC}));
  if (!child) {
    hold.write.reset();
    auto furnished = FurnishNode(shape);
    [[maybe_unused]] auto told = WriteAll(report.write.get(), furnished ? "ok" : furnished.error().message);
    report.write.reset();
    char byte;
    [[maybe_unused]] auto n = ::read(hold.read.get(), &byte, 1);  // until our namespaces have been opened
    ::_exit(0);
  }
  report.write.reset();
  std::string answer = TRY(ReadAll(report.read.get(), 4096));
  if (answer != "ok")
    return Fail(Code::kInternal, "node ", shape.host_name, ": ",
                answer.empty() ? "its first process died" : answer);
  std::string ns = Cat("/proc/", child.pid(), "/ns/");
  NodeNamespaces node;
  node.host_name = shape.host_name;
  node.network = TRY(Open(ns + "net", O_RDONLY));
  node.uts = TRY(Open(ns + "uts", O_RDONLY));
  node.mounts = TRY(Open(ns + "mnt", O_RDONLY));
  node.ipc = TRY(Open(ns + "ipc", O_RDONLY));
  hold.write.reset();
  TRY(child.Wait());
  TRY(RunIp(node, "link set lo up\n"));
  return node;
}

Result<Process> StartIn(const NodeNamespaces& node, const DaemonStart& start) {
  UniqueFd log = TRY(Open(start.log, O_WRONLY | O_CREAT | O_APPEND, 0644));
  UniqueFd nothing = TRY(Open("/dev/null", O_RDONLY));
  PipeEnds report = TRY(MakePipe());
  std::vector<char*> argv;
  for (const std::string& word : start.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  Process child = TRY(Clone3({}));
  if (!child) BecomeDaemon(node, start, argv.data(), log.get(), nothing.get(), report.write.get());
  report.write.reset();
  int error = 0;
  ssize_t n;
  do {
    n = ::read(report.read.get(), &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  if (n != sizeof error) return child;
  [[maybe_unused]] auto reaped = child.Wait();
  return Failure(ErrnoErrorOf(error, "start", start.argv[0]));
}

Result<> RunIp(const NodeNamespaces& node, const std::string& commands) {
  UniqueFd script = TRY(MakeSealedMemfd("ip", commands));
  PipeEnds out = TRY(MakePipe());
  Process child = TRY(Clone3({}));
  if (!child) {
    if (EnterNode(node) < 0 || ::dup2(script.get(), 0) < 0 || ::dup2(out.write.get(), 1) < 0 ||
        ::dup2(out.write.get(), 2) < 0)
      ::_exit(126);
    for (const char* path : {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"})
      ::execl(path, "ip", "-batch", "-", nullptr);
    ::_exit(127);
  }
  out.write.reset();
  std::string said = TRY(ReadAll(out.read.get(), 64 << 10));
  ExitStatus status = TRY(child.Wait());
  if (status.exit_code() == 127)
    return Fail(Code::kFailedPrecondition, "the program ip is missing: install the package iproute2");
  if (status.exit_code() != 0) return Fail(Code::kInternal, "ip -batch: ", Trim(said));
  return {};
}

Result<> MakeBridge() {
  return RunIp(kHere, Cat("link set lo up\nlink add br0 type bridge\nlink set br0 up\naddr add ",
                          kControllerAddress, "/24 dev br0\n"));
}

Result<> PlugIn(const NodeNamespaces& node, unsigned k) {
  // `ip` moves an interface by the pid of a process that lives in the namespace, so one waits there for it.
  PipeEnds hold = TRY(MakePipe());
  PipeEnds ready = TRY(MakePipe());
  Process guest = TRY(Clone3({}));
  if (!guest) {
    hold.write.reset();
    if (::setns(node.network.get(), CLONE_NEWNET) < 0) ::_exit(1);
    char byte = 1;
    [[maybe_unused]] auto n = ::write(ready.write.get(), &byte, 1);
    n = ::read(hold.read.get(), &byte, 1);
    ::_exit(0);
  }
  ready.write.reset();
  char byte;
  [[maybe_unused]] auto there = ::read(ready.read.get(), &byte, 1);
  auto plugged = RunIp(kHere, Cat("link add v", k, " type veth peer name eth0 netns ", guest.pid(),
                                  "\nlink set v", k, " master br0\nlink set v", k, " up\n"));
  hold.write.reset();
  TRY(guest.Wait());
  TRY(plugged);
  return RunIp(node, Cat("link set eth0 up\naddr add ", NodeAddress(k), "/24 dev eth0\n"));
}

}  // namespace slipway::dev
