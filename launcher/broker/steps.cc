// SPDX-License-Identifier: Apache-2.0
// Watching steps, ending them, finding them again.
#include "launcher/broker/steps.h"

#include <sys/epoll.h>

#include <set>

#include "base/log/log.h"
#include "base/os/fuse.h"
#include "base/os/lingering.h"

namespace slipway {

namespace {

// A killed step is looked after that often; what is there after so many looks is told.
constexpr std::chrono::seconds kLookAgain{1};
constexpr std::uint32_t kLooksBeforeStuck = 8;

}  // namespace

StepKeeper::StepKeeper(World world, Gone gone, Gone stuck)
    : world_(std::move(world)), gone_(std::move(gone)), stuck_(std::move(stuck)) {}

StepKeeper::~StepKeeper() = default;  // steps outlive us

// ---- recovery

Result<> StepKeeper::Recover() {
  boot_id_ = TRY(BootId());
  TRY(MakeTrustedDirectory(world_.conf.steps_dir(), ::geteuid(), 0755));
  std::vector<StepId> found;
  for (const std::string& name : TRY(NamesIn(world_.conf.steps_dir()))) {
    if (auto id = ParseStepId(name); id) found.push_back(*id);
  }
  // A record that is there but cannot be read keeps us from starting: what cannot be named would be swept.
  for (const StepId& id : found) TRY_CONTEXT(RecoverOne(id), Cat("taking over step ", ToString(id)));
  std::set<std::string> cgroups;
  for (auto& [id, step] : steps_) cgroups.insert(step.record.cgroup);
  world_.cgroups.Sweep(cgroups);
  return {};
}

Result<> StepKeeper::RecoverOne(const StepId& id) {
  auto record = ReadRecord(Folder(id), ::geteuid());
  // Killed before the record was written: its processes go with our gates, its cgroup is swept.
  if (!record && record.error().sys_errno == ENOENT) return RemoveTree(Folder(id));
  if (!record) return Failure(std::move(record).error());
  auto at = steps_.insert_or_assign(id, Step{}).first;
  at->second.record = std::move(*record);
  RunRecord& known = at->second.record;
  if (known.ended) return {};
  if (known.boot_id == boot_id_) {
    if (auto init = FindProcess(known.init); init) at->second.init = Watched{std::move(*init), {}, false};
    if (auto stepd = FindProcess(known.stepd); stepd)
      at->second.stepd = Watched{std::move(*stepd), {}, false};
    if (!world_.conf.rootless) [[maybe_unused]]
      auto used = world_.images.Use(known.image_digest, id);
  } else {
    known.cgroup.clear();  // another boot's
  }
  known.stepd_wait_status = kUnknownWaitStatus;
  TRY(WatchStep(at));
  Log(Level::kInfo, "took over a step", {{"step", ToString(id)}});
  LookWhetherGone(id);
  return {};
}

// ---- watching

Result<> StepKeeper::WatchStep(StepIt step) {
  TRY(WatchProcess(step, &Step::init));
  TRY(WatchProcess(step, &Step::stepd));
  SetTimer(step);
  if (step->second.record.cgroup.empty()) return {};
  auto events = OpenCgroupEvents(step->second.record.cgroup);
  if (!events) return {};  // removed already: not populated either
  step->second.cgroup_events = std::move(*events);
  step->second.cgroup_watch = TRY(
      world_.loop.Watch(step->second.cgroup_events.get(), EPOLLPRI, [this, id = step->first](std::uint32_t) {
        char drained[256];  // the event stays raised until the file is read
        auto at = steps_.find(id);
        if (at != steps_.end()) [[maybe_unused]]
          auto n = ::pread(at->second.cgroup_events.get(), drained, sizeof drained, 0);
        LookWhetherGone(id);
      }));
  return {};
}

Result<> StepKeeper::WatchProcess(StepIt step, std::optional<Watched> Step::*which) {
  auto& watched = step->second.*which;
  if (!watched) return {};
  watched->watch =
      TRY(world_.loop.Watch(watched->process.pidfd(), EPOLLIN,
                            [this, id = step->first, which](std::uint32_t) { ProcessEnded(id, which); }));
  return {};
}

void StepKeeper::ProcessEnded(const StepId& id, std::optional<Watched> Step::*which) {
  auto at = steps_.find(id);
  if (at == steps_.end() || !(at->second.*which)) return;
  Step& step = at->second;
  Watched& watched = *(step.*which);
  world_.loop.Unwatch(watched.watch);
  if (watched.ours) {
    auto status = watched.process.Poll();
    if (which == &Step::stepd && status && *status) step.record.stepd_wait_status = (*status)->wait_status;
  }
  (step.*which).reset();
  // The init ends its tasks; without one, whatever is left of them has nobody. Without stepd nobody reports.
  if (!step.init && !step.record.cgroup.empty()) [[maybe_unused]]
    auto killed = KillCgroup(step.record.cgroup + "/tasks");
  if (!step.stepd) EndAll(step);
  LookWhetherGone(id);
}

void StepKeeper::SetTimer(StepIt step) {
  std::uint64_t limit = step->second.record.deadline_boot_ms, lease = step->second.lease_boot_ms;
  bool leased = lease != 0 && (limit == 0 || lease < limit);
  std::uint64_t deadline = leased ? lease : limit, now = BootMilliseconds();
  if (deadline == 0) return;
  auto left = std::chrono::milliseconds(deadline > now ? deadline - now : 0);
  step->second.timer = world_.loop.After(
      left, [this, id = step->first, leased] { Kill(id, leased ? kLeaseOver : kTimeIsUp, [](Result<>) {}); });
}

Result<> StepKeeper::Renew(const StepLease& lease) {
  auto at = steps_.find(lease.step);
  if (at == steps_.end() || at->second.killed || at->second.record.ended) return {};
  at->second.lease_boot_ms = lease.boot_ms;
  world_.loop.Cancel(at->second.timer);
  SetTimer(at);
  return {};
}

// ---- ending

void StepKeeper::EndAll(Step& step) {
  if (!std::exchange(step.killed, true)) {
    world_.loop.Cancel(step.timer);  // of its time limit
    step.timer = world_.loop.After(kLookAgain, [this, id = step.record.step] { LookAgain(id); });
  }
  if (!step.record.cgroup.empty()) {
    if (auto killed = KillCgroup(step.record.cgroup); !killed)
      Log(Level::kError, "cgroup.kill", {{"error", killed.error().message}});
  }
  // Without cgroups the init's death ends its PID namespace; with them this is a second way to the same end.
  if (step.init) [[maybe_unused]]
    auto signalled = step.init->process.Signal(SIGKILL);
  if (step.stepd) [[maybe_unused]]
    auto signalled = step.stepd->process.Signal(SIGKILL);
}

// SIGKILL is on its way to all of them. Who is still there waits for a FUSE server that will not answer, is a
// zombie that its tracer does not let go, or waits for hardware or a file system of the host's.
void StepKeeper::LookAgain(const StepId& id) {
  auto at = steps_.find(id);
  if (at == steps_.end() || at->second.record.ended) return;
  Step& step = at->second;
  std::vector<pid_t> left = ProcessesBelow(step.record.cgroup);
  for (auto* watched : {&step.init, &step.stepd}) {
    if (!*watched) continue;
    for (pid_t process : ProcessesOf((*watched)->process.pid())) left.push_back(process);
  }
  AbortFuseOf(left, step.record.uid);
  KillTracersOf(left, step.record.uid);
  EndAll(step);
  if (++step.looks % kLooksBeforeStuck == 0) {
    StepGone stuck{id, 0, Cat("process ", WhatHolds(left), ", does not end")};
    Log(Level::kError, "a killed step is still there", {{"step", ToString(id)}, {"reason", stuck.reason}});
    stuck_(stuck);
  }
  step.timer = world_.loop.After(kLookAgain, [this, id] { LookAgain(id); });
}

void StepKeeper::Kill(const StepId& id, const std::string& reason, Done done) {
  auto at = steps_.find(id);
  if (at == steps_.end() || at->second.record.ended) return done({});
  at->second.waiting.push_back(std::move(done));
  if (at->second.record.reason.empty()) at->second.record.reason = reason;
  EndAll(at->second);
  LookWhetherGone(id);
}

void StepKeeper::LookWhetherGone(const StepId& id) {
  auto at = steps_.find(id);
  if (at == steps_.end() || at->second.record.ended) return;
  Step& step = at->second;
  if (step.init || step.stepd) return;
  if (IsPopulated(step.record.cgroup)) {
    if (!step.killed) EndAll(step);
    return;  // cgroup.events tells
  }
  FinishStep(at);
}

void StepKeeper::FinishStep(StepIt at) {
  Step& step = at->second;
  world_.loop.Cancel(step.timer);
  if (step.cgroup_events) world_.loop.Unwatch(step.cgroup_watch);
  step.cgroup_events.reset();
  RemoveStepCgroup(step.record.cgroup);
  world_.images.Release(at->first);
  step.record.ended = true;
  // Who ended the holder ends its steps, too (slipway-steps.service); they cannot say it themselves.
  bool failed = step.record.stepd_wait_status != 0 && step.record.reason.empty();
  if (failed && world_.holder != nullptr && !world_.holder->Get(kMountsKey))
    step.record.reason = "slipway-steps.service has ended";
  if (auto written = WriteRecord(Folder(at->first), step.record); !written)
    Log(Level::kError, "the record of an ended step",
        {{"step", ToString(at->first)}, {"error", written.error().message}});
  Log(Level::kInfo, "step gone", {{"step", ToString(at->first)}, {"reason", step.record.reason}});
  StepGone gone{at->first, step.record.stepd_wait_status, step.record.reason};
  for (Done& done : std::exchange(step.waiting, {})) done({});
  gone_(gone);
}

Result<> StepKeeper::Forget(const StepId& id) {
  auto at = steps_.find(id);
  if (at == steps_.end()) return {};
  if (!at->second.record.ended) return Fail(Code::kFailedPrecondition, "step ", ToString(id), " still runs");
  TRY(RemoveTree(Folder(id)));
  steps_.erase(at);
  return {};
}

Result<> StepKeeper::Freeze(const StepId& id, bool frozen) {
  auto at = steps_.find(id);
  if (at == steps_.end() || at->second.record.ended || at->second.record.cgroup.empty())
    return Fail(Code::kFailedPrecondition, "step ", ToString(id), " does not run here, or in no cgroup");
  return FreezeCgroup(at->second.record.cgroup + "/tasks", frozen);
}

std::vector<StepRecord> StepKeeper::List() const {
  std::vector<StepRecord> list;
  for (auto& [id, step] : steps_) list.push_back({id, step.record.uid, !step.record.ended});
  return list;
}

}  // namespace slipway
