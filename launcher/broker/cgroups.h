// SPDX-License-Identifier: Apache-2.0
// A step is born in a cgroup of its own, so that its limits hold for whatever it forks and nothing of it
// survives a kill. The hierarchy is found by its mount (a hybrid host has it elsewhere than /sys/fs/cgroup);
// what a node's kernel or delegation does not give is said (cannot()), not pretended.
//
//   BASE/JOB.ATTEMPT/STEP/{tasks,stepd}    what all steps share is limited at the job; what ranks use up at
//   tasks: stepd is ours and must not die of the user's memory
//   …/tasks/N                              rank N's, where each has devices of its own; the user may move his
//   processes within tasks, not out of it
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/os/cgroup.h"
#include "base/os/device_policy.h"
#include "base/os/fd.h"
#include "launcher/broker/conf.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

struct StepCgroup {
  std::string path;       // absolute, of the step; empty: there are no cgroups here
  UniqueFd tasks, stepd;  // directories, for CLONE_INTO_CGROUP
  std::vector<UniqueFd> of_tasks;
};

class CgroupTree {
 public:
  // Never fails: without a hierarchy that can be written everything below does nothing and cannot() says so.
  static CgroupTree Open(const BrokerConf& conf);
  bool usable() const { return !base_.empty(); }
  const std::vector<std::string>& cannot() const { return cannot_; }

  // A limit that cannot() does not name holds, or this fails. `owner`: of the ranks.
  Result<StepCgroup> Make(const StepId& step, const StepLimits& limits, const StepDevices& devices = {},
                          uid_t owner = 0) const;
  void RemoveJob(const StepId& step) const;
  // Ends and removes every step's cgroup that is not in `known` (paths): what a killed broker had begun to
  // make.
  void Sweep(const std::set<std::string>& known) const;

 private:
  bool Announced(std::string_view name) const;
  void FindWhatIsMissing(const std::string& probe);
  Result<> Limit(const std::string& directory, const CgroupSetting& setting) const;
  Result<> Allow(StepCgroup& made, const StepDevices& devices, uid_t owner) const;
  std::string JobPath(const StepId& step) const { return Cat(base_, "/", step.job, ".", step.attempt); }
  std::string base_;
  std::vector<std::string> cannot_;
  mutable DevicePolicies device_policies_;
};

// Of a path that Make gave; an empty one is nobody's. The step's directories, and the job's when it was the
// last.
void RemoveStepCgroup(const std::string& path);
// Kills what is in it, waits until that is gone (bounded: a process may hang in the kernel), removes it.
void EndStepCgroup(const std::string& path);

// For slipway-holder: moves itself into BASE/holder.
Result<> EnterHolderCgroup(const BrokerConf& conf);

}  // namespace slipway
