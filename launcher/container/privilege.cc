// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace slipway {

namespace {

// `kept` stays where it was (bounding and permitted set), -1: none.
Result<> DropAllBut(int kept) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_NO_NEW_PRIVS)");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return ErrnoFail("prctl(PR_CAP_AMBIENT)");
  // The kernel may know capabilities that this header does not; it says EINVAL after its last one.
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (static_cast<int>(capability) == kept) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL && capability > 0) break;
    return ErrnoFail("prctl(PR_CAPBSET_DROP)");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (kept >= 0) {
    std::uint32_t bit = 1U << (kept % 32);
    sets[kept / 32] = {.effective = bit, .permitted = bit, .inheritable = bit};
  }
  if (::syscall(SYS_capset, &header, sets) < 0) return ErrnoFail("capset");
  return {};
}

}  // namespace

Result<> DropAllPrivilege() { return DropAllBut(-1); }

Result<> KeepOneCapability(int capability) {
  TRY(DropAllBut(capability));
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
    return ErrnoFail("prctl(PR_CAP_AMBIENT_RAISE)");
  return {};
}

Result<> StayRootInside() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_NO_NEW_PRIVS)");
  return {};
}

Result<> StayUndumpable() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_DUMPABLE)");
  return {};
}

}  // namespace slipway
