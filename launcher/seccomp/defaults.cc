// SPDX-License-Identifier: Apache-2.0
#include "launcher/seccomp/defaults.h"

#include <sched.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace slipway {
namespace {

constexpr SeccompAction kRefuse{SeccompAction::kErrno, EPERM}, kAbsent{SeccompAction::kErrno, ENOSYS};

#if defined(__s390__)
constexpr std::uint32_t kCloneFlags = 1;
#else
constexpr std::uint32_t kCloneFlags = 0;
#endif

// 32-bit programs of the same machine are filtered alike; x32, which Debian's kernels switch off, is absent.
SeccompProfile AllowingAllBut(std::vector<SeccompRule> rules) {
  SeccompProfile profile{.otherwise = {SeccompAction::kAllow, 0}, .foreign = kAbsent};
#if defined(__x86_64__)
  profile.architectures = {"x86"};
#elif defined(__aarch64__)
  profile.architectures = {"arm"};
#endif
  profile.rules = std::move(rules);
  return profile;
}

// The kernel looks at the low half of an ioctl's number only; so must we (CVE-2019-7303 was a 64-bit look).
SeccompTest LowHalfIs(std::uint32_t index, std::uint64_t value) {
  return {index, SeccompTest::kMaskedEqual, 0xffffffff, value};
}
SeccompTest HasFlag(std::uint32_t index, std::uint64_t flag) {
  return {index, SeccompTest::kMaskedEqual, flag, flag};
}

}  // namespace

SeccompProfile DefaultSeccomp() {
  return AllowingAllBut({
      // Keys are per uid or session, not per container.
      {{"add_key", "request_key", "keyctl"}, kRefuse, {}},
      // The kernel itself: its code, its clock, its tables. Refused for lack of capabilities too, today.
      {{"init_module",
        "finit_module",
        "delete_module",
        "create_module",
        "get_kernel_syms",
        "query_module",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "bpf",
        "acct",
        "swapon",
        "swapoff",
        "quotactl",
        "quotactl_fd",
        "nfsservctl",
        "lookup_dcookie",
        "settimeofday",
        "clock_settime",
        "stime",
        "iopl",
        "ioperm",
        "vm86",
        "vm86old",
        "uselib",
        "syslog",
        "_sysctl",
        "vhangup"},
       kRefuse,
       {}},
      // A handle names an inode past every mount (Docker's "Shocker").
      {{"open_by_handle_at"}, kRefuse, {}},
      // Its requests are not seen by any filter, and what uses it has another way when it is not there.
      {{"io_uring_setup", "io_uring_enter", "io_uring_register"}, kAbsent, {}},
      // CVE-2017-5226: typing into the terminal that `slipway exec` shares with its caller's shell.
      {{"ioctl"}, kRefuse, {LowHalfIs(1, TIOCSTI)}},
      {{"ioctl"}, kRefuse, {LowHalfIs(1, 0x541c /* TIOCLINUX: paste into a console */)}},
  });
}

SeccompProfile NestingForbidden() {
  return AllowingAllBut({
      {{"unshare"}, kRefuse, {HasFlag(0, CLONE_NEWUSER)}},
      {{"clone"}, kRefuse, {HasFlag(kCloneFlags, CLONE_NEWUSER)}},
      // Its flags lie in memory, where no filter sees them; libc then uses clone.
      {{"clone3"}, kAbsent, {}},
      // A user's own namespaces outside, made before his site forbade them.
      {{"setns"}, kRefuse, {}},
  });
}

}  // namespace slipway
