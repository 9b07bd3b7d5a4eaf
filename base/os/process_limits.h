// SPDX-License-Identifier: Apache-2.0
// What a process is bounded by besides cgroups: resource limits, processors, niceness, and how soon it is
// ended when memory runs out. A child that is made on another's behalf takes them over from him.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway {

struct ProcessLimits {
  // From /proc, which needs no right over the process as prlimit(2) does.
  static Result<ProcessLimits> Of(pid_t pid);
  // As root, or to a process of ours. A hard limit that is higher than the child's takes CAP_SYS_RESOURCE;
  // without it the child keeps its own.
  Result<> GiveTo(pid_t child) const;

  std::vector<rlimit> resources;          // by their numbers
  std::vector<unsigned long> processors;  // as of sched_getaffinity(2)
  int niceness = 0;
  std::string oom_score_adj;
};

// As many descriptors as we may have: the soft limit that processes inherit (1024) is for programs that use
// select(2).
void RaiseDescriptorLimit();

// Pure, of the text of /proc/PID/limits: a line for each in the order of their numbers, in fixed columns.
std::vector<rlimit> ResourceLimitsIn(const std::string& text);

}  // namespace slipway
