// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace slipway {

Result<> DropAllPrivilege() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_NO_NEW_PRIVS)");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return ErrnoFail("prctl(PR_CAP_AMBIENT)");
  // The kernel may know capabilities that this header does not; it says EINVAL after its last one.
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL && capability > 0) break;
    return ErrnoFail("prctl(PR_CAPBSET_DROP)");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) < 0) return ErrnoFail("capset");
  return {};
}

Result<> StayUndumpable() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_DUMPABLE)");
  return {};
}

}  // namespace slipway
