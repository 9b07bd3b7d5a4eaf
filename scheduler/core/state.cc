// SPDX-License-Identifier: Apache-2.0
// Look-ups and names.
#include "scheduler/core/state.h"

namespace slipway::scheduler {

std::string_view NodeStateName(NodeState state) {
  switch (state) {
    case NodeState::kUnknown:
      return "UNKNOWN";
    case NodeState::kUp:
      return "UP";
    case NodeState::kDown:
      return "DOWN";
  }
  return "?";
}

std::string_view EndReasonName(EndReason reason) {
  switch (reason) {
    case EndReason::kNone:
      return "";
    case EndReason::kExited:
      return "exited";
    case EndReason::kKilled:
      return "killed";
    case EndReason::kTimeLimit:
      return "time limit";
    case EndReason::kOutOfMemory:
      return "out of memory";
    case EndReason::kLaunchFailed:
      return "launch failed";
    case EndReason::kNodeFailed:
      return "node failed";
    case EndReason::kLost:
      return "lost";
    case EndReason::kCancelled:
      return "cancelled";
    case EndReason::kNodeUnfit:
      return "node unfit";
  }
  return "?";
}

std::string_view StepStateName(StepState state) {
  switch (state) {
    case StepState::kStarting:
      return "STARTING";
    case StepState::kRunning:
      return "RUNNING";
    case StepState::kEnded:
      return "ENDED";
  }
  return "?";
}

std::string_view JobStateName(JobState state) {
  switch (state) {
    case JobState::kPending:
      return "PENDING";
    case JobState::kStarting:
      return "STARTING";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kCompleting:
      return "COMPLETING";
    case JobState::kCompleted:
      return "COMPLETED";
    case JobState::kFailed:
      return "FAILED";
    case JobState::kCancelled:
      return "CANCELLED";
    case JobState::kTimeout:
      return "TIMEOUT";
    case JobState::kNodeFail:
      return "NODE_FAIL";
    case JobState::kDeadline:
      return "DEADLINE";
    case JobState::kPreempted:
      return "PREEMPTED";
  }
  return "?";
}

std::string JobName(const Job& job) {
  return job.array.value == 0 ? ToString(job.id) : Cat(job.array.value, '_', job.array_task);
}

std::optional<Time> Job::SignalAt(Time now) const {
  bool runs = state == JobState::kStarting || state == JobState::kRunning;
  if (!runs || signalled || spec->signal.number == 0 || time_limit_s == 0) return std::nullopt;
  return LimitAt(now).PlusSeconds(-std::int64_t{spec->signal.seconds});
}

std::optional<Time> StartBy(const Job& job) {
  if (job.state != JobState::kPending || job.spec->deadline.us == 0) return std::nullopt;
  return job.spec->deadline.PlusSeconds(-std::int64_t{job.time_limit_s});
}

DependencyState Job::DependenciesState() const {
  std::size_t met = 0, never = 0;
  for (const JobDependency& dependency : dependencies) {
    met += dependency.state == DependencyState::kMet ? 1 : 0;
    never += dependency.state == DependencyState::kNever ? 1 : 0;
  }
  bool any = spec->any_dependency && !dependencies.empty();
  if (any ? met > 0 : met == dependencies.size()) return DependencyState::kMet;
  bool hopeless = any ? never == dependencies.size() : never > 0;
  return hopeless ? DependencyState::kNever : DependencyState::kWaiting;
}

bool Job::AllStarted() const {
  return std::ranges::none_of(steps, [](const Step& step) {
    return std::ranges::find(step.nodes, StepState::kStarting, &StepNode::state) != step.nodes.end();
  });
}

const Step* Job::FindStep(std::uint32_t number) const {
  for (const Step& step : steps) {
    if (step.number == number) return &step;
  }
  return nullptr;
}

const NodeAllocation* Job::FindNode(std::string_view node) const {
  for (const NodeAllocation& held : nodes) {
    if (held.node == node) return &held;
  }
  return nullptr;
}

const Job* State::FindJob(JobId id) const {
  auto found = jobs.find(id);
  return found == jobs.end() ? nullptr : &found->second;
}

std::vector<JobId> State::ComponentsOf(JobId id) const {
  auto after = hets.upper_bound(id);
  if (after == hets.begin()) return {};
  const auto& [leader, count] = *std::prev(after);
  if (id.value >= leader.value + count) return {};
  std::vector<JobId> ids;
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back({leader.value + i});
  return ids;
}

bool State::FollowsLeader(JobId id) const {
  auto after = hets.upper_bound(id);
  if (after == hets.begin()) return false;
  const auto& [leader, count] = *std::prev(after);
  return id != leader && id.value < leader.value + count;
}

const Array* State::ArrayOf(JobId task) const {
  auto after = arrays.upper_bound(task);
  if (after == arrays.begin()) return nullptr;
  const Array& array = std::prev(after)->second;
  bool in = array.first_task <= task && task.value < array.first_task.value + array.tasks;
  return in ? &array : nullptr;
}

std::optional<Job> State::FindUnmade(JobId task) const {
  const Array* array = ArrayOf(task);
  if (array == nullptr) return std::nullopt;
  auto number = static_cast<std::uint32_t>(task.value - array->first_task.value);
  if (array->IsMade(number)) return std::nullopt;
  Job job = array->pattern;
  job.id = task;
  job.array_task = array->spec->array->indices[number];
  if (!array->cancelled) return job;
  job.state = JobState::kCancelled;
  job.cancelled_by = array->cancelled;
  job.outcome = Outcome{JobState::kCancelled, 143, EndReason::kCancelled, ""};
  job.ended = array->pattern.ended;
  return job;
}

const Node* State::FindNode(std::string_view name) const {
  auto found = nodes.find(name);
  return found == nodes.end() ? nullptr : &found->second;
}

const Association* State::FindAssociation(const AssociationKey& key) const {
  auto found = associations.find(key);
  return found == associations.end() ? nullptr : &found->second;
}

}  // namespace slipway::scheduler
