// SPDX-License-Identifier: Apache-2.0
#include "base/os/process_limits.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/os/fd.h"

namespace slipway {
namespace {

Result<> GiveResourceLimit(pid_t child, __rlimit_resource which, rlimit his) {
  rlimit own;
  if (::prlimit(child, which, nullptr, &own) < 0) return ErrnoFail("prlimit");
  if (own.rlim_cur == his.rlim_cur && own.rlim_max == his.rlim_max) return {};
  if (::prlimit(child, which, &his, nullptr) == 0) return {};
  his = {std::min(his.rlim_cur, own.rlim_max), std::min(his.rlim_max, own.rlim_max)};
  if (::prlimit(child, which, &his, nullptr) < 0) return ErrnoFail("prlimit");
  return {};
}

}  // namespace

std::vector<rlimit> ResourceLimitsIn(const std::string& text) {
  constexpr std::size_t kSoft = 26, kHard = 47;  // columns
  std::vector<rlimit> limits;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);  // the head
  auto number = [&](std::size_t column) {
    return line.compare(column, 9, "unlimited") == 0 ? RLIM_INFINITY
                                                     : std::strtoull(&line[column], nullptr, 10);
  };
  while (std::getline(lines, line) && line.size() > kHard) limits.push_back({number(kSoft), number(kHard)});
  return limits;
}

Result<ProcessLimits> ProcessLimits::Of(pid_t pid) {
  ProcessLimits his;
  his.oom_score_adj = TRY(ReadFile(Cat("/proc/", pid, "/oom_score_adj"), 64));
  his.resources = ResourceLimitsIn(TRY(ReadFile(Cat("/proc/", pid, "/limits"), 64 << 10)));
  if (his.resources.size() != RLIM_NLIMITS)
    return Fail(Code::kInternal, "/proc/", pid, "/limits has ", his.resources.size(), " lines");
  his.processors.resize(1024);  // 65,536 of them
  long bytes = ::syscall(SYS_sched_getaffinity, pid, 8 * his.processors.size(), his.processors.data());
  if (bytes < 0) return ErrnoFail("taking processors over");
  his.processors.resize(static_cast<std::size_t>(bytes) / 8);
  errno = 0;
  his.niceness = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
  if (errno != 0) return ErrnoFail("taking niceness over");
  return his;
}

Result<> ProcessLimits::GiveTo(pid_t child) const {
  TRY(WriteInto(Cat("/proc/", child, "/oom_score_adj"), oom_score_adj));
  if (::syscall(SYS_sched_setaffinity, child, 8 * processors.size(), processors.data()) < 0)
    return ErrnoFail("taking processors over");
  if (::setpriority(PRIO_PROCESS, static_cast<id_t>(child), niceness) < 0)
    return ErrnoFail("taking niceness over");
  for (std::size_t i = 0; i < resources.size(); ++i)
    TRY(GiveResourceLimit(child, static_cast<__rlimit_resource>(i), resources[i]));
  return {};
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace slipway
