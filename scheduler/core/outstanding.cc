// SPDX-License-Identifier: Apache-2.0
// A message can be lost in more ways than can be remembered, so none is: what a node still has to be told
// follows from the state.
#include "scheduler/core/outstanding.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

std::uint32_t SecondsLeft(const Job& job, const Step& step, Time now) {
  std::int64_t left = INT64_MAX;
  auto bound = [&](std::uint32_t limit_s, Time from) {
    if (limit_s > 0) left = std::min(left, (from.PlusSeconds(limit_s).us - now.us) / 1'000'000);
  };
  if (job.time_limit_s > 0) left = (job.LimitAt(now).us - now.us) / 1'000'000;
  bound(step.time_limit_s, step.created);
  return left == INT64_MAX ? 0 : static_cast<std::uint32_t>(std::max<std::int64_t>(left, 1));
}

// A heterogeneous job's programs find its components in their environment, by Slurm's names and ours.
std::shared_ptr<const Command> WithComponents(const State& state, const Job& job,
                                              const std::shared_ptr<const Command>& command) {
  const std::vector<JobId> whole = state.ComponentsOf(job.id);
  if (whole.empty()) return command;
  auto with = std::make_shared<Command>(*command);
  auto add = [&](std::string_view name, const std::string& group, const std::string& value) {
    for (std::string_view prefix : {"SLURM_", "SLIPWAY_"})
      with->env.push_back(Cat(prefix, name, group, '=', value));
  };
  add("HET_SIZE", "", Cat(whole.size()));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const Job& one = *state.FindJob(whole[i]);
    std::string group = Cat("_HET_GROUP_", i), nodes;
    std::uint32_t tasks = 0;
    for (const NodeAllocation& held : one.nodes) {
      nodes += Cat(nodes.empty() ? "" : ",", held.node);
      tasks += held.tasks;
    }
    add("JOB_ID", group, Cat(one.id.value));
    add("JOB_NODELIST", group, nodes);
    add("JOB_NUM_NODES", group, Cat(one.nodes.size()));
    add("NTASKS", group, Cat(tasks));
    add("CPUS_PER_TASK", group, Cat(one.spec->resources.cores_per_task));
  }
  return with;
}

}  // namespace

LaunchStep MakeLaunch(const State& state, const Job& job, const Step& step, std::uint32_t node_index,
                      Time now) {
  LaunchStep launch;
  launch.step = {job.id, job.attempt, step.number};
  launch.epoch = state.epoch;
  launch.oldest_live_job = state.oldest_live_job();
  launch.job = job.spec;
  launch.command = WithComponents(state, job, step.command);
  launch.image_digest =
      step.command->image.digest.empty() ? job.spec->command.image.digest : step.command->image.digest;
  launch.array = job.array;
  launch.array_task = job.array_task;
  launch.nodes = step.nodes;
  launch.node_index = node_index;
  launch.allocation = *job.FindNode(step.nodes[node_index].node);
  launch.cores_per_task = step.cores_per_task;
  launch.time_limit_s = SecondsLeft(job, step, now);
  launch.lease_s = state.LeaseOf(job);
  return launch;
}

SignalStep MakeSignal(const Job& job, const Step& step) {
  const LimitSignal& signal = job.spec->signal;
  return {{job.id, job.attempt, step.number}, signal.number, signal.batch_only};
}

std::vector<NodeMessage> Outstanding(const State& state, std::string_view node, Time now) {
  std::vector<NodeMessage> first, launches, others;  // who is to stand still lends to who is launched
  const Node* receiver = state.FindNode(node);
  if (receiver == nullptr) return first;
  for (JobId id : receiver->jobs) {
    const Job& job = *state.FindJob(id);
    if (job.state == JobState::kCompleting) {
      others.emplace_back(EndJob{id, job.attempt});
      continue;
    }
    for (const Step& step : job.steps) {
      if (step.state == StepState::kEnded) continue;
      auto part = std::ranges::find(step.nodes, node, &StepNode::node);
      if (part == step.nodes.end() || part->state == StepState::kEnded) continue;
      if (step.kill_requested) {
        others.emplace_back(KillStep{{id, job.attempt, step.number}});
      } else if (part->state == StepState::kStarting) {
        auto index = static_cast<std::uint32_t>(part - step.nodes.begin());
        launches.emplace_back(MakeLaunch(state, job, step, index, now));
      }
      if (step.signalled && !step.kill_requested && part->state == StepState::kRunning)
        others.emplace_back(MakeSignal(job, step));
      bool stood = job.suspended() || job.suspended_us > 0;
      if (stood && !step.kill_requested)
        (job.suspended() ? first : others)
            .emplace_back(SuspendStep{{id, job.attempt, step.number}, job.suspended()});
    }
  }
  std::ranges::move(launches, std::back_inserter(first));
  std::ranges::move(others, std::back_inserter(first));
  return first;
}

std::string Describe(const NodeMessage& message) {
  struct Describer {
    std::string operator()(const LaunchStep& m) {
      return Cat("LaunchStep ", ToString(m.step), " part ", m.node_index);
    }
    std::string operator()(const KillStep& m) { return Cat("KillStep ", ToString(m.step)); }
    std::string operator()(const EndJob& m) { return Cat("EndJob ", m.job.value, '.', m.attempt); }
    std::string operator()(const SuspendStep& m) {
      return Cat(m.suspended ? "SuspendStep " : "ResumeStep ", ToString(m.step));
    }
    std::string operator()(const WarnStep& m) { return Cat("WarnStep ", ToString(m.step)); }
    std::string operator()(const SignalStep& m) {
      return Cat("SignalStep ", ToString(m.step), " ", m.signal);
    }
    std::string operator()(const Prefetch& m) { return Cat("Prefetch ", m.digest); }
    std::string operator()(const AckReport& m) { return Cat("AckReport ", m.seq); }
    std::string operator()(const Registered& m) { return Cat("Registered with epoch ", m.epoch); }
  };
  return std::visit(Describer{}, message);
}

}  // namespace slipway::scheduler
