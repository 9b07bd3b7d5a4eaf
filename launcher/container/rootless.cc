// SPDX-License-Identifier: Apache-2.0
// Without privilege the kernel gives what a user namespace gives: one uid and one gid, mapped to themselves
// or to root; more where /etc/subuid lends more.
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "launcher/container/birth.h"
#include "launcher/container/idmap.h"
#include "launcher/container/report.h"

namespace slipway {
namespace {

Result<> MakeNamespaces() {
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC) < 0) {
    auto error = ErrnoErrorOf(errno, "making a user namespace");
    if (errno == EPERM || errno == ENOSPC || errno == EACCES) {
      error.message +=
          "; this host forbids them to ordinary users (kernel.unprivileged_userns_clone, "
          "user.max_user_namespaces or an AppArmor rule): ask its admin";
    }
    return Failure(std::move(error));
  }
  // Our own files in /proc belong to root as long as we are undumpable. Nobody can have traced us before: it
  // was the same user's process, and is given nothing that he does not have.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return {};
}

Result<> EnterOwnNamespace(const OwnNamespace& wanted, std::string& why) {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  std::optional<RangeMapper> ranges;
  if (wanted.identity == Identity::kRoot) ranges = TRY(RangeMapper::Start(wanted.user_name, why));
  TRY(MakeNamespaces());
  if (wanted.identity == Identity::kSelf) return MapOnlyOneself(uid, gid, uid, gid);
  if (!ranges) return MapOnlyOneself(uid, gid, 0, 0);
  return ranges->MapNow();
}

}  // namespace

void RunRootless(Birth birth, const OwnNamespace& wanted) {
  if (auto made = EnterOwnNamespace(wanted, birth.map_note); !made) {
    Report report(birth.control_fd);
    report.Die(made.error().message);
  }
  birth.image_path.clear();
  birth.own_namespace = true;
  // The namespace is the user's own: the kernel's rules are all there is.
  birth.rules = {.nested_user_namespaces = true, .capabilities_max = kAllCapabilities};
  RunInit(birth);
}

}  // namespace slipway
