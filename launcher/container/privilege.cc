// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace slipway {
namespace {

struct Sets {
  CapabilitySet effective = 0, permitted = 0, inheritable = 0;
};

CapabilitySet Joined(std::uint32_t low, std::uint32_t high) { return CapabilitySet{high} << 32 | low; }
std::uint32_t Low(CapabilitySet set) { return static_cast<std::uint32_t>(set); }
std::uint32_t High(CapabilitySet set) { return static_cast<std::uint32_t>(set >> 32); }

Result<Sets> GetSets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, data) < 0) return ErrnoFail("capget");
  return Sets{Joined(data[0].effective, data[1].effective), Joined(data[0].permitted, data[1].permitted),
              Joined(data[0].inheritable, data[1].inheritable)};
}

Result<> SetSets(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
      {Low(sets.effective), Low(sets.permitted), Low(sets.inheritable)},
      {High(sets.effective), High(sets.permitted), High(sets.inheritable)}};
  if (::syscall(SYS_capset, &header, data) < 0) return ErrnoFail("capset");
  return {};
}

// The kernel may know capabilities that this header does not; it says EINVAL after its last one.
Result<> DropFromBounding(CapabilitySet keep) {
  for (unsigned number = 0; number < 64; ++number) {
    if ((keep & CapabilityBit(number)) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, static_cast<unsigned long>(number), 0, 0, 0) == 0) continue;
    if (errno == EINVAL && number > CAP_AUDIT_READ) break;
    return ErrnoFail("prctl(PR_CAPBSET_DROP)");
  }
  return {};
}

}  // namespace

Result<CapabilitySet> CapabilitiesAllowed(const Confinement& wanted, const BirthRules& rules) {
  CapabilitySet refused = wanted.capabilities & ~rules.capabilities_max;
  if (refused == 0) return wanted.capabilities;
  return Fail(
      Code::kPermissionDenied, "capabilities asked for and not allowed here: ",
      NamesOf(wanted.capabilities == kAllCapabilities && rules.capabilities_max == 0 ? kAllCapabilities
                                                                                     : refused),
      "; this node's admin allows: ", NamesOf(rules.capabilities_max));
}

Result<> KeepPrivilege(CapabilitySet keep) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_NO_NEW_PRIVS)");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return ErrnoFail("prctl(PR_CAP_AMBIENT)");
  keep &= TRY(GetSets()).permitted;
  TRY(DropFromBounding(keep));
  bool root_inside = ::geteuid() == 0;
  Sets wanted{keep, keep, root_inside ? 0 : keep};
  TRY(SetSets(wanted));
  for (unsigned number = 0; number < 64 && !root_inside; ++number) {
    if ((keep & CapabilityBit(number)) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, static_cast<unsigned long>(number), 0, 0) < 0)
      return ErrnoFail("prctl(PR_CAP_AMBIENT_RAISE)");
  }
  Sets have = TRY(GetSets());
  if (have.effective != wanted.effective || have.permitted != wanted.permitted ||
      have.inheritable != wanted.inheritable)
    return Fail(Code::kInternal, "capabilities are not what was set");
  return {};
}

Result<> StayUndumpable() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_DUMPABLE)");
  return {};
}

}  // namespace slipway
