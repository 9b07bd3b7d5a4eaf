// SPDX-License-Identifier: Apache-2.0
// The steps of this node, from a verified credential to the last process gone. A start is: mark, cgroup, run
// folder, container and stepd behind their gates, record, gates open; whatever fails takes back all that was
// made, except the mark. A broker that was killed finds its steps again by their records and goes on
// watching.
//
// One thread, that of the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "launcher/broker/cgroups.h"
#include "launcher/broker/container_birth.h"
#include "launcher/broker/holder.h"
#include "launcher/broker/images.h"
#include "launcher/broker/marks.h"
#include "launcher/broker/policy.h"
#include "launcher/broker/record.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

class StepKeeper {
 public:
  struct World {
    const BrokerConf& conf;
    Loop& loop;
    ImageKeeper& images;
    MarkStore& marks;
    const CgroupTree& cgroups;
    HolderClient* holder;  // null: rootless
    ContainerEntry entry;
    int host_mounts_fd;
    bool proc_masked;
  };
  using Gone = std::function<void(const StepGone&)>;
  using Done = std::function<void(Result<>)>;

  // `stuck`: a killed step's last processes do not end; its reason says which. Again from time to time, until
  // they do.
  StepKeeper(World world, Gone gone, Gone stuck);
  ~StepKeeper();

  // What a killed broker left: running steps are watched, ended ones listed, half-made ones removed.
  Result<> Recover();
  Result<> Start(const slipway::StartStep& request, UniqueFd spec);
  void Kill(const StepId& step, const std::string& reason, Done done);  // done when nothing of it is left
  Result<> EndJob(const StepId& job);
  Result<> Forget(const StepId& step);
  Result<> Freeze(const StepId& step, bool frozen);
  Result<> Renew(const StepLease& lease);
  std::vector<StepRecord> List() const;

 private:
  struct Watched {
    Process process;
    Loop::WatchId watch;
    bool ours = false;  // a child of this broker: it must be reaped, and has a wait status
  };
  struct Step {
    RunRecord record;
    std::optional<Watched> init, stepd;
    UniqueFd cgroup_events;
    Loop::WatchId cgroup_watch;
    Loop::TimerId timer;
    std::uint64_t lease_boot_ms = 0;
    bool killed = false;
    std::uint32_t looks = 0;    // since then
    std::vector<Done> waiting;  // for its end
  };
  using StepIt = std::map<StepId, Step>::iterator;
  struct Made;  // what a start has made so far and takes back unless it is kept

  std::string Folder(const StepId& step) const { return Cat(world_.conf.steps_dir(), "/", ToString(step)); }
  Result<> Make(const LaunchCredential& credential, int spec_fd, Made& made);
  Result<> MakeFolder(const LaunchCredential& credential, Made& made);
  Result<> BearBoth(const LaunchCredential& credential, int spec_fd, Made& made);
  Result<const JobNamespaces*> JoinableNamespaces(const StepId& step);
  RunRecord RecordOf(const LaunchCredential& credential, const Made& made) const;

  Result<> RecoverOne(const StepId& step);
  Result<> WatchStep(StepIt step);
  Result<> WatchProcess(StepIt step, std::optional<Watched> Step::*which);
  void ProcessEnded(const StepId& id, std::optional<Watched> Step::*which);
  void SetTimer(StepIt step);
  void EndAll(Step& step);
  void LookAgain(const StepId& id);
  void LookWhetherGone(const StepId& id);
  void FinishStep(StepIt step);

  World world_;
  Gone gone_, stuck_;
  std::string boot_id_;
  std::map<StepId, Step> steps_;
  std::map<std::string, JobNamespaces> jobs_;  // by holder key
};

}  // namespace slipway
