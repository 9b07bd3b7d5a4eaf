// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "generated/default_filters.h"

namespace slipway {
namespace {

// SPEC_ALLOW: before Linux 5.16 a filter would otherwise slow down every load and store of the tasks
// (Speculative Store Bypass), which no process outside a container pays.
Result<> Install(const sock_filter* instructions, std::size_t count) {
  sock_fprog program{static_cast<unsigned short>(count), const_cast<sock_filter*>(instructions)};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) < 0)
    return ErrnoFail("installing a seccomp filter");
  return {};
}

}  // namespace

Result<> InstallOwnFilters(Confinement::Filter wanted, const BirthRules& rules) {
  if (!rules.nested_user_namespaces)
    TRY(Install(kNestingForbiddenFilter, std::size(kNestingForbiddenFilter)));
  if (wanted == Confinement::kDefault) TRY(Install(kDefaultFilter, std::size(kDefaultFilter)));
  return {};
}

Result<> InstallFilter(std::string_view bpf) {
  static_assert(sizeof(sock_filter) == kFilterInstructionBytes);
  return Install(reinterpret_cast<const sock_filter*>(bpf.data()), bpf.size() / sizeof(sock_filter));
}

}  // namespace slipway
