// SPDX-License-Identifier: Apache-2.0
#include "launcher/main/import_confine.h"

#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace slipway {
namespace {

constexpr unsigned kCpuSecondsMax = 4 * 3600;
// Heaps of the C library's allocator. Without a number of ours it opens a file of /sys when more threads than
// these ask, to learn how many processors there are; and each heap takes 64 MiB of our addresses.
constexpr int kHeapsMax = 8;

Result<> Limit(int resource, rlim_t value) {
  rlimit limit;
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) < 0) return ErrnoFail("getrlimit");
  limit.rlim_cur = limit.rlim_max = std::min(limit.rlim_max, value);
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) < 0) return ErrnoFail("setrlimit");
  return {};
}

}  // namespace

// What is left: memory, threads of this process, the two descriptors, and an end. newfstatat is not among it
// (it can name paths), so sizes are asked by lseek.
Result<> Confine(std::uint64_t memory_max) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // A sanitizer's runtime needs terabytes of addresses and calls of its own; what it checks is the parsing.
  return {};
#endif
  if (::mallopt(M_ARENA_MAX, kHeapsMax) == 0) return Fail(Code::kInternal, "mallopt");
  TRY(Limit(RLIMIT_CORE, 0));
  TRY(Limit(RLIMIT_AS, memory_max));
  TRY(Limit(RLIMIT_CPU, kCpuSecondsMax));
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) return ErrnoFail("prctl(PR_SET_DUMPABLE)");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return ErrnoFail("prctl(PR_SET_NO_NEW_PRIVS)");
  std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  if (!filter) return Fail(Code::kInternal, "no seccomp filter could be made");
  int failed = 0;
  for (int call : {SCMP_SYS(read),
                   SCMP_SYS(pread64),
                   SCMP_SYS(write),
                   SCMP_SYS(pwrite64),
                   SCMP_SYS(lseek),
                   SCMP_SYS(ftruncate),
                   SCMP_SYS(sync_file_range),
                   SCMP_SYS(close),
                   SCMP_SYS(mmap),
                   SCMP_SYS(munmap),
                   SCMP_SYS(munlock),
                   SCMP_SYS(mremap),
                   SCMP_SYS(mprotect),
                   SCMP_SYS(madvise),
                   SCMP_SYS(brk),
                   SCMP_SYS(futex),
                   SCMP_SYS(set_robust_list),
                   SCMP_SYS(rseq),
                   SCMP_SYS(rt_sigprocmask),
                   SCMP_SYS(rt_sigaction),
                   SCMP_SYS(rt_sigreturn),
                   SCMP_SYS(clock_gettime),
                   SCMP_SYS(gettimeofday),
                   SCMP_SYS(getrandom),
                   SCMP_SYS(sched_getaffinity),
                   SCMP_SYS(sched_yield),
                   SCMP_SYS(exit),
                   SCMP_SYS(exit_group)}) {
    failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  // Threads, not processes. The arguments of clone3 lie in memory, where no filter sees them; libc then uses
  // clone.
  failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
  failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  if (failed != 0) return Fail(Code::kInternal, "a seccomp rule could not be added");
  if (int code = seccomp_load(filter.get()); code < 0) {
    return Failure(ErrnoErrorOf(-code, "loading the seccomp filter"));
  }
  return {};
}

}  // namespace slipway
