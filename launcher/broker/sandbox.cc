// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/sandbox.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/os/link.h"
#include "base/os/mount.h"
#include "launcher/broker/half_born.h"
#include "launcher/broker/identity.h"

namespace slipway {
namespace {

constexpr const char* kNumbers[] = {"3", "4", "5", "6"};
constexpr char kNeedsMaps = 'u', kMapped = 'm', kReady = 'r';
constexpr std::uint64_t kLocked = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// /lib is a directory or a link into /usr, as the host has it.
Result<> CopyIntoRoot(const std::string& root, const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) < 0) return {};
  std::string target = root + path;
  if (S_ISLNK(info.st_mode)) {
    std::string to = TRY(ReadLink(path));
    return ::symlink(to.c_str(), target.c_str()) == 0 ? Result<>() : ErrnoFail("symlink", target);
  }
  if (::mkdir(target.c_str(), 0755) < 0) return ErrnoFail("mkdir", target);
  UniqueFd tree = TRY(OpenTreeClone(AT_FDCWD, path, true));
  TRY_CONTEXT(SetMountAttributes(tree.get(), kLocked, 0, true), path);
  UniqueFd at = TRY(Open(target, O_PATH | O_DIRECTORY));
  return AttachMount(tree.get(), at.get());
}

Result<> EnterEmptyRoot(const std::string& scratch) {
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0)
    return ErrnoFail("making mounts private");
  TRY(MountTmpfs(scratch, {{"mode", "0755"}, {"size", "64k"}}));
  for (const char* path : {"/usr", "/lib", "/lib64"}) TRY(CopyIntoRoot(scratch, path));
  UniqueFd root = TRY(Open(scratch, O_RDONLY | O_DIRECTORY));
  TRY(SetMountAttributes(root.get(), kLocked, 0, false));
  return PivotInto(root.get());
}

Result<> Bound(std::uint64_t out_bytes_max) {
  using Bounded = std::pair<__rlimit_resource, rlim_t>;
  for (auto [which, most] :
       {Bounded{RLIMIT_CPU, 3600}, Bounded{RLIMIT_AS, rlim_t{8} << 30}, Bounded{RLIMIT_FSIZE, out_bytes_max},
        Bounded{RLIMIT_NOFILE, 64}, Bounded{RLIMIT_CORE, 0}}) {
    rlimit both{most, most};
    if (::setrlimit(which, &both) < 0) return ErrnoFail("setrlimit");
  }
  return {};
}

[[noreturn]] void BecomeImporter(const SandboxPlan& plan, int program_fd, const Gate& gate) {
  if (plan.rootless) {
    gate.Say(kNeedsMaps);
    gate.Await(kMapped);
  }
  gate.Require(EnterEmptyRoot(plan.scratch));
  gate.Require(Bound(plan.out_bytes_max));
  if (!plan.rootless) gate.Require(BecomeForGood({plan.uid, plan.gid}));
  // After the ids changed, which clears it.
  gate.Check(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl(PR_SET_PDEATHSIG)");
  LeaveSessionKeyring();
  gate.Check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl(PR_SET_NO_NEW_PRIVS)");
  gate.Say(kReady);
  gate.Await(HalfBorn::kGo);
  // Out of the way of the numbers that its options name.
  gate.Check((program_fd = ::fcntl(program_fd, F_DUPFD_CLOEXEC, 16)) >= 0, "fcntl(F_DUPFD_CLOEXEC)");
  std::vector<const char*> argv = {"slipway-import"};
  std::vector<int> fds;
  for (const SandboxFile& file : plan.files) {
    argv.insert(argv.end(), {file.option, kNumbers[fds.size()]});
    fds.push_back(file.fd);
  }
  argv.push_back(nullptr);
  Gate moved = gate.Place(fds, 3);
  const char* envp[] = {"PATH=/usr/bin", "TMPDIR=/nonexistent", nullptr};
  ::syscall(SYS_execveat, program_fd, "", argv.data(), envp, AT_EMPTY_PATH);
  moved.Require(ErrnoFail("starting", plan.program));
  ::_exit(125);
}

}  // namespace

Result<Process> StartSandboxed(const SandboxPlan& plan) {
  UniqueFd program = TRY_CONTEXT(Open(plan.program, O_RDONLY), "the import program");
  std::uint64_t flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS;
  if (plan.rootless) flags |= CLONE_NEWUSER;
  if (plan.files.size() > std::size(kNumbers))
    return Fail(Code::kInternal, "too many descriptors for a sandbox");
  std::vector<int> kept = {program.get()};
  for (const SandboxFile& file : plan.files) kept.push_back(file.fd);
  HalfBornOptions options{{.flags = flags}, kept, Surroundings::kOwn, plan.error_fd};
  HalfBorn child =
      TRY(HalfBorn::Make(options, [&](const Gate& gate) { BecomeImporter(plan, program.get(), gate); }));
  if (plan.rootless) {
    TRY(child.Hear(kNeedsMaps));
    TRY(WriteMaps(child.pid(), {::geteuid(), ::getegid()}));
    TRY(child.Tell(kMapped));
  }
  TRY_CONTEXT(child.Hear(kReady), "making the import's sandbox");
  TRY(child.Tell(HalfBorn::kGo));
  TRY(child.HearItClose());
  return child.Release();
}

}  // namespace slipway
