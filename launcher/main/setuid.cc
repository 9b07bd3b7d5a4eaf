// SPDX-License-Identifier: Apache-2.0
#include "launcher/main/setuid.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdio>

#include "base/os/mount.h"
#include "base/os/signals.h"
#include "launcher/broker/container_birth.h"
#include "launcher/broker/exec_policy.h"
#include "launcher/broker/holder.h"
#include "launcher/broker/host_rules.h"
#include "launcher/broker/image_mount.h"
#include "launcher/container/birth.h"
#include "launcher/spec/image_signers.h"
#include "launcher/spec/init_protocol.h"

namespace slipway {
namespace {

constexpr int kExitOurs = 125;
constexpr char kGo = 'g';

// A detached copy of the mount that the node's holder keeps, whose page cache is warm. kNotFound: it keeps
// none. Going there and back moves our root and folder to those of the namespace, so both are put back: the
// caller may live in a chroot, and kInternal says that we could not return.
Result<UniqueFd> KeptMount(const BrokerConf& conf, const std::string& digest) {
  auto none = [&](auto&&...) { return Fail(Code::kNotFound, "no kept mount of ", digest); };
  auto holder = HolderClient::Connect(conf.holder_socket);
  if (!holder) return none();
  auto kept = holder->Get(kMountsKey);
  if (!kept || kept->size() != 1) return none();
  UniqueFd home = TRY(Open("/proc/self/ns/mnt", O_RDONLY));
  UniqueFd root = TRY(Open("/", O_PATH | O_DIRECTORY)), folder = TRY(Open(".", O_PATH | O_DIRECTORY));
  if (::setns((*kept)[0].get(), CLONE_NEWNS) < 0) return none();
  auto tree = [&]() -> Result<UniqueFd> {
    if (!TRY(IsMountPoint(ImageMountPath(conf, MountName(digest)), conf.mounts_dir()))) return none();
    return CloneStoreMount(conf, digest);
  }();
  if (::setns(home.get(), CLONE_NEWNS) < 0 || ::fchdir(root.get()) < 0 || ::chroot(".") < 0 ||
      ::fchdir(folder.get()) < 0)
    return Fail(Code::kInternal, "could not return to the caller's mount namespace");
  return tree ? std::move(tree) : none();
}

// Where the image of the store is attached in a mount namespace of our own; with an `owner`, root's files in
// it are shown as his, where the kernel can.
Result<std::string> BringImage(const BrokerConf& conf, const std::string& digest, const UserIds* owner) {
  TRY(CheckDigest(digest));
  NoteUse(conf, digest);
  auto mount = KeptMount(conf, digest);
  if (!mount && mount.error().code == Code::kInternal) return Failure(std::move(mount).error());
  if (!mount) mount = MountStoreImage(conf, digest);
  UniqueFd image = TRY(std::move(mount));
  if (owner != nullptr) TRY(GiveToUser(image.get(), *owner));
  TRY(EnterPrivateMounts(conf));
  TRY(AttachStoreImage(conf, MountName(digest), image.get()));
  return ImageMountPath(conf, MountName(digest));
}

// All that is done as root, and the proof that it is over.
Result<HalfBorn> BearAndDrop(int control_fd, const std::string& digest, bool changes_image) {
  UserIds who = TRY(CallerForPrivileged());
  TRY(CloseAllBut({control_fd}));
  BrokerConf conf = TRY(LoadConf(kStarterConf));
  TRY(JudgeExec(conf, ExecWay::kSetuid, who, !digest.empty()));
  BirthPlan plan{.identity = who,
                 .birth = {.control_fd = control_fd, .rules = RulesOfThisHost(), .policy = conf.container},
                 .surroundings = Surroundings::kCallers};
  if (!digest.empty()) {
    plan.birth.image_path = TRY(BringImage(conf, digest, changes_image ? &who : nullptr));
    if (!plan.birth.policy.signed_by.empty())
      plan.birth.image_signed_by = TRY(SignedBy(conf.image_dir, digest));
  }
  HalfBorn child = TRY(BearContainer(plan, {RunInit, {}}));
  TRY(child.HearReady());
  TRY(BecomeForGood(who));
  return child;
}

Result<> BecomeImporter(int image_fd, bool as_is) {
  UserIds who = TRY(CallerForPrivileged());
  BrokerConf conf = TRY(LoadConf(kStarterConf));
  TRY(JudgeImport(conf, ExecWay::kSetuid, who));
  TRY(CheckReadable(image_fd));
  TRY(TakeGroups({0, 0, {}}));
  pid_t front = ::getppid();
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || ::getppid() != front)
    return ErrnoFail("prctl(PR_SET_PDEATHSIG)");
  if (image_fd != 3 && ::dup2(image_fd, 3) < 0) return ErrnoFail("dup2");
  if (!SetCloexec(3, false)) return ErrnoFail("fcntl");
  TRY(CloseAllBut({3}));
  UnblockSignals();
  const char* how = as_is ? "--import-as-is" : "--import";
  const char* argv[] = {"slipway-broker", "--config", kStarterConf, how, "3", nullptr};
  const char* envp[] = {"PATH=/usr/bin:/bin", nullptr};
  ::execve(conf.broker.c_str(), const_cast<char**>(argv), const_cast<char**>(envp));
  return ErrnoFail("starting", conf.broker);
}

}  // namespace

bool IsSetuidRoot() { return ::geteuid() == 0 && ::getuid() != 0; }

void DistrustCaller() {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::clearenv();
  ::umask(022);
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  // An ignored SIGCHLD, which exec hands down, would keep the ends of children from us.
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  for (int fd : {0, 1, 2}) {
    // The lowest free number is the one that is closed.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
      ::_exit(kExitOurs);
  }
}

Result<UserIds> CallerForPrivileged() {
  uid_t real, effective, saved;
  gid_t gid[3];
  if (::getresuid(&real, &effective, &saved) < 0 || ::getresgid(&gid[0], &gid[1], &gid[2]) < 0)
    return ErrnoFail("getresuid");
  if (effective != 0 || saved != 0) return Fail(Code::kInternal, "not started with root's rights");
  if (gid[0] != gid[1]) return Fail(Code::kPermissionDenied, "installed setgid: chmod g-s it");
  int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(count < 0 ? 0 : count));
  if (count < 0 || ::getgroups(count, groups.data()) != count) return ErrnoFail("getgroups");
  if (::setresuid(0, 0, 0) < 0) return ErrnoFail("setresuid");
  return UserIds{real, gid[0], {groups.begin(), groups.end()}};
}

void ExecAsSetuid(int control_fd, const std::string& digest, bool changes_image) {
  pid_t front = ::getppid();
  auto born = BearAndDrop(control_fd, digest, changes_image);
  if (!born) {
    [[maybe_unused]] auto said =
        SendMessage(control_fd, EncodeFrame(InitFrame::kRefused, born.error().message));
    ::_exit(kExitOurs);
  }
  // The front's end is ours, and ours is the child's. Changed ids forget such an order, so it is given only
  // now.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != front || !SendMessage(control_fd, EncodeFrame(InitFrame::kBorn, std::string())) ||
      !born->Tell(kGo))
    ::_exit(kExitOurs);
  Process child = born->Release();
  // The socket must end with the child, and its streams are not ours to keep open.
  if (::syscall(SYS_close_range, 0U, 2U, 0U) < 0 || !CloseAllBut({child.pidfd()})) ::_exit(kExitOurs);
  auto status = child.Wait();
  ::_exit(status ? status->exit_code() : kExitOurs);
}

void ImportAsSetuid(int image_fd, bool as_is) {
  auto begun = BecomeImporter(image_fd, as_is);
  std::fprintf(stderr, "slipway-starter: %s\n", begun.error().message.c_str());
  ::_exit(kExitOurs);
}

}  // namespace slipway
