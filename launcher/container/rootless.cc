// SPDX-License-Identifier: Apache-2.0
// Without privilege the kernel gives what a user namespace gives: one uid and one gid, mapped to themselves.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "launcher/container/birth.h"
#include "launcher/container/report.h"

namespace slipway {
namespace {

Result<> WriteProc(const char* path, std::string_view text) {
  UniqueFd fd = TRY(Open(path, O_WRONLY));
  TRY_CONTEXT(WriteAll(fd.get(), text), path);
  return {};
}

Result<> MakeNamespaces() {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
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
  TRY(WriteProc("/proc/self/setgroups", "deny"));
  TRY(WriteProc("/proc/self/uid_map", Cat(uid, " ", uid, " 1")));
  return WriteProc("/proc/self/gid_map", Cat(gid, " ", gid, " 1"));
}

}  // namespace

void RunRootless(const Birth& given) {
  Birth birth = given;
  if (auto made = MakeNamespaces(); !made) {
    Report report(birth.control_fd);
    report.Die(made.error().message);
  }
  birth.image_path.clear();
  RunInit(birth);
}

}  // namespace slipway
