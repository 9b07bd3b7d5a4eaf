// SPDX-License-Identifier: Apache-2.0
// The core's state as users see it. Environment, script and arguments of a job are in no view: they may hold
// secrets.
#include <algorithm>

#include "base/text/text.h"
#include "launcher/spec/step_id.h"
#include "scheduler/server/convert.h"
#include "slipway/v1/job.pb.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {
namespace {

std::int64_t Ms(Time time) { return time.us / 1000; }

v1::JobState StateOf(const Job& job) {
  switch (job.state) {
    case JobState::kPending:
      return v1::JOB_STATE_PENDING;
    case JobState::kStarting:
      return v1::JOB_STATE_STARTING;
    case JobState::kRunning:
      return job.suspended() ? v1::JOB_STATE_SUSPENDED : v1::JOB_STATE_RUNNING;
    case JobState::kCompleting:
      return v1::JOB_STATE_COMPLETING;
    case JobState::kCompleted:
      return v1::JOB_STATE_COMPLETED;
    case JobState::kFailed:
      return job.outcome && job.outcome->reason == EndReason::kOutOfMemory ? v1::JOB_STATE_OUT_OF_MEMORY
                                                                           : v1::JOB_STATE_FAILED;
    case JobState::kCancelled:
      return v1::JOB_STATE_CANCELLED;
    case JobState::kTimeout:
      return v1::JOB_STATE_TIMEOUT;
    case JobState::kNodeFail:
      return v1::JOB_STATE_NODE_FAIL;
    case JobState::kPreempted:
      return v1::JOB_STATE_PREEMPTED;
    case JobState::kDeadline:
      return v1::JOB_STATE_DEADLINE;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

std::string StepStateText(const Step& step) {
  if (step.state == StepState::kStarting) return "STARTING";
  if (step.state == StepState::kRunning) return "RUNNING";
  switch (step.reason) {
    case EndReason::kKilled:
    case EndReason::kCancelled:
      return "CANCELLED";
    case EndReason::kTimeLimit:
      return "TIMEOUT";
    case EndReason::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case EndReason::kNodeFailed:
    case EndReason::kLost:
      return "NODE_FAIL";
    default:
      return step.exit_code == 0 ? "COMPLETED" : "FAILED";
  }
}

void AddLap(v1::Step* out, const char* name, std::uint64_t us) {
  v1::Lap* lap = out->add_laps();
  lap->set_name(name);
  lap->set_us(us);
}

// Why it ended, in one line: the message when there is one, else what the reason is called.
std::string EndText(EndReason reason, const std::string& message) {
  if (!message.empty()) return message;
  return reason == EndReason::kNone || reason == EndReason::kExited ? std::string()
                                                                    : std::string(EndReasonName(reason));
}

void ToProto(const StepNode& node, v1::StepPart* out) {
  const StepUsage& used = node.facts->usage;
  out->set_node(node.node);
  out->set_binding(node.facts->binding);
  v1::StepUsage& usage = *out->mutable_usage();
  usage.set_cpu_us(used.cpu_us);
  usage.set_cpu_user_us(used.cpu_user_us);
  usage.set_cpu_system_us(used.cpu_system_us);
  usage.set_memory_peak_bytes(used.memory_peak_bytes);
  usage.set_swap_peak_bytes(used.swap_peak_bytes);
  usage.set_io_read_bytes(used.io_read_bytes);
  usage.set_io_write_bytes(used.io_write_bytes);
  usage.set_pressure_cpu_us(used.pressure_cpu_us);
  usage.set_pressure_memory_us(used.pressure_memory_us);
  usage.set_pressure_io_us(used.pressure_io_us);
  const StepMetered& metered = node.facts->metered;
  usage.set_energy_mj(metered.energy_mj);
  usage.set_node_energy_mj(metered.node_energy_mj);
  usage.set_gpu_energy_mj(metered.gpu_energy_mj);
  usage.set_gpu_busy_us(metered.gpu_busy_us);
  usage.set_gpu_watched_us(metered.gpu_watched_us);
  usage.set_gpu_memory_peak_bytes(metered.gpu_memory_peak_bytes);
  for (std::string& name : Split(metered.libraries, ' ')) {
    if (!name.empty()) out->add_libraries(std::move(name));
  }
}

void ToProto(const Step& step, v1::Step* out) {
  out->set_step_id(step.number);
  out->set_state(StepStateText(step));
  std::uint32_t tasks = 0;
  for (const StepNode& node : step.nodes) {
    tasks += node.tasks;
    out->add_nodes(node.node);
  }
  out->set_tasks(tasks);
  out->set_exit_code(step.exit_code);
  out->set_reason(EndText(step.reason, step.message));
  out->set_start_ms(Ms(step.started));
  out->set_end_ms(Ms(step.ended));
  AddLap(out, "stage", step.timings.stage_us);
  AddLap(out, "start", step.timings.start_us);
  AddLap(out, "wireup", step.timings.wireup_us);
  AddLap(out, "run", step.timings.run_us);
  for (const StepNode& node : step.nodes) {
    if (node.facts) ToProto(node, out->add_parts());
  }
}

void ToProto(const Amount& in, v1::Amount* out) {
  out->set_name(in.name);
  out->set_count(in.count);
}

void ToProto(const Resources& in, std::uint32_t time_limit_s, v1::Resources* out) {
  out->set_nodes_min(in.nodes_min);
  out->set_nodes_max(in.nodes_max);
  out->set_tasks(in.tasks);
  out->set_tasks_per_node(in.tasks_per_node);
  out->set_cores_per_task(in.cores_per_task);
  out->set_memory_bytes_per_node(in.memory_bytes_per_node);
  out->set_memory_bytes_per_core(in.memory_bytes_per_core);
  out->set_exclusive(in.exclusive);
  out->set_time_limit_s(time_limit_s);
  out->set_partition(in.partition);
  out->set_constraint(in.constraint);
  out->set_reservation(in.reservation);
  out->set_switches(in.switches);
  out->set_contiguous(in.contiguous);
  out->set_nodelist(in.choice->nodes);
  out->set_excluded_nodes(in.choice->excluded);
  out->set_layout(static_cast<v1::Layout>(in.layout));
  out->set_fewest_nodes(in.fewest_nodes);
  out->set_gpus_per_node(in.gpus_per_node);
  out->set_gpus_per_task(in.gpus_per_task);
  out->set_gpu_type(in.gpu_type);
  for (const Amount& gres : in.gres) ToProto(gres, out->add_gres());
  for (const Amount& licence : in.licences) ToProto(licence, out->add_licences());
}

void SpecToProto(const JobSpec& spec, const JobView& view, v1::Job* out) {
  out->set_name(spec.name);
  out->set_user(spec.user.name);
  out->set_uid(spec.user.uid);
  out->set_image(spec.command.image.reference);
  out->set_image_digest(spec.command.image.digest);
  out->set_account(spec.account);
  out->set_qos(spec.qos);
  ToProto(spec.resources, spec.time_limit_s, out->mutable_resources());
  if (view.full) {
    out->set_cwd(spec.command.cwd);
    out->set_comment(spec.comment);
  }
}

void TimesToProto(const Job& job, const JobView& view, v1::Job* out) {
  out->set_submit_ms(Ms(job.submitted));
  out->set_start_ms(Ms(job.started));
  out->set_end_ms(Ms(job.ended));
  Time waited_until = job.started.us != 0 ? job.started : job.ended.us != 0 ? job.ended : view.now;
  out->set_waiting_ms(
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, Ms(waited_until) - Ms(job.submitted))));
  if (job.steps.empty()) return;
  const Step& primary = job.steps.front();
  out->set_staging_ms(primary.timings.stage_us / 1000);
  out->set_starting_ms(primary.timings.start_us / 1000);
  // A batch script wires nothing up; its steps do.
  std::uint64_t wireup_us = 0;
  for (const Step& step : job.steps) wireup_us += step.timings.wireup_us;
  out->set_wireup_ms(wireup_us / 1000);
  if (primary.timings.run_us != 0) {
    out->set_running_ms(primary.timings.run_us / 1000);
  } else if (job.running.us != 0) {
    Time until = primary.state == StepState::kEnded ? primary.ended : view.now;
    out->set_running_ms(static_cast<std::uint64_t>(std::max<std::int64_t>(0, Ms(until) - Ms(job.running))));
  }
}

}  // namespace

void ToProto(const Job& job, const JobView& view, v1::Job* out) {
  const JobSpec& spec = *job.spec;
  SpecToProto(spec, view, out);
  out->set_job_id(job.id.value);
  out->set_array_job_id(job.array.value);
  out->set_array_task_id(job.array_task);
  if (spec.array) out->set_array_max_running(spec.array->max_running);
  out->set_state(StateOf(job));
  out->set_reason(job.outcome ? EndText(job.outcome->reason, job.outcome->message) : view.pending_reason);
  bool gpus = false;
  for (const NodeAllocation& node : job.nodes) {
    out->add_nodes(node.node);
    gpus = gpus || !node.gpus.empty();
  }
  for (const NodeAllocation& node : job.nodes) {
    if (!gpus) break;
    std::vector<std::string> numbers;
    for (std::uint32_t gpu : node.gpus.Numbers()) numbers.push_back(Cat(gpu));
    out->add_gpus(Join(numbers, ","));
  }
  out->set_attempt(job.attempt);
  if (job.outcome) out->set_exit_code(job.outcome->exit_code);
  TimesToProto(job, view, out);
  for (const Step& step : job.steps) {
    ToProto(step, out->add_steps());
    const std::string& own = step.command->image.digest;
    out->mutable_steps()->rbegin()->set_image_digest(own.empty() ? job.spec->command.image.digest : own);
  }
  if (view.full) {
    PathNames names{job.id, job.array, job.array_task,
                    job.nodes.empty() ? std::string() : job.nodes.front().node, 0u};
    out->set_stdout_path(ExpandPath(spec.command.stdout_path, spec, spec.command.cwd, names));
    out->set_stderr_path(ExpandPath(spec.command.stderr_path, spec, spec.command.cwd, names));
  }
  out->set_ended(IsTerminal(job.state));
  out->mutable_resources()->set_time_limit_s(job.time_limit_s);
  out->mutable_resources()->set_time_min_s(spec.time_min_s);
  out->mutable_resources()->set_partition(job.PartitionName());
  out->set_lease_s(view.lease_s);
  out->set_priority(job.priority());
  out->set_held(job.hold != Hold::kNone);
  if (view.planned) {
    out->set_planned_start_ms(Ms(view.planned->at));
    for (const PlannedNode& node : view.planned->nodes) out->add_planned_nodes(node.node);
  }
}

void ToProto(const State& state, const Explanation& explanation, v1::Explanation* out) {
  for (const std::string& reason : explanation.reasons) out->add_reasons(reason);
  out->set_ahead(explanation.ahead);
  for (JobId id : explanation.first_ahead) out->add_first_ahead(JobName(*state.FindJob(id)));
  if (explanation.planned) {
    out->set_planned_start_ms(Ms(explanation.planned->at));
    for (const PlannedNode& node : explanation.planned->nodes) out->add_planned_nodes(node.node);
  }
  if (explanation.not_before) out->set_not_before_ms(Ms(*explanation.not_before));
  for (const EarlierStart& earlier : explanation.earlier) {
    if (earlier.now) out->add_suggestions(Cat(earlier.change, " it would fit now"));
    v1::EarlierStart* to = out->add_earlier_starts();
    to->set_change(earlier.change);
    to->set_start_ms(Ms(earlier.start));
    to->set_now(earlier.now);
  }
  out->set_priority(explanation.priority);
}

void ToProto(const State& state, const Array& array, const JobView& view, v1::Job* out) {
  SpecToProto(*array.spec, view, out);
  out->set_job_id(array.id.value);
  std::uint32_t pending = array.waiting + array.unmade(), active = array.running, ended = array.ended;
  const Job* worst = nullptr;
  out->set_submit_ms(Ms(array.pattern.submitted));
  for (auto at = state.jobs.lower_bound(array.first_task);
       at != state.jobs.end() && at->first < array.TaskId(array.tasks); ++at) {
    const Job* task = &at->second;
    if (out->submit_ms() == 0) out->set_submit_ms(Ms(task->submitted));
    if (task->started.us != 0 && (out->start_ms() == 0 || Ms(task->started) < out->start_ms()))
      out->set_start_ms(Ms(task->started));
    if (task->outcome && (worst == nullptr || worst->outcome->state < task->outcome->state)) worst = task;
    if (IsTerminal(task->state)) out->set_end_ms(std::max<std::int64_t>(out->end_ms(), Ms(task->ended)));
  }
  // Tasks that were cancelled before they were jobs.
  std::optional<Job> unmade =
      array.cancelled ? state.FindUnmade(array.TaskId(array.tasks - 1)) : std::nullopt;
  if (unmade && (worst == nullptr || worst->outcome->state < unmade->outcome->state)) worst = &*unmade;
  bool all_ended = ended == array.tasks;
  if (!all_ended) out->set_end_ms(0);
  out->set_ended(all_ended);
  out->set_state(active > 0    ? v1::JOB_STATE_RUNNING
                 : pending > 0 ? v1::JOB_STATE_PENDING
                               : v1::JOB_STATE_COMPLETED);
  if (all_ended && worst != nullptr) {
    out->set_state(StateOf(*worst));
    out->set_exit_code(worst->outcome->exit_code);
  }
  out->set_array_max_running(array.spec->array->max_running);
  out->set_reason(Cat("array: ", pending, " pending, ", active, " running, ", ended, " ended"));
}

void UnmadeToProto(const Array& array, const JobView& view, v1::Job* out) {
  ToProto(array.pattern, view, out);
  out->set_reason("waits behind others of its array");
  const std::vector<std::uint32_t>& indices = array.spec->array->indices;
  v1::TaskRange* range = nullptr;
  for (std::uint32_t task = array.made; task < array.tasks; ++task) {
    if (array.made_early.contains(task)) continue;
    std::uint32_t index = indices[task];
    bool second = range != nullptr && range->first() == range->last();
    if (range != nullptr && (second || index - range->last() == range->step())) {
      range->set_step(index - range->last());
      range->set_last(index);
      continue;
    }
    range = out->add_array_waiting();
    range->set_first(index);
    range->set_last(index);
    range->set_step(1);
  }
}

}  // namespace slipway::scheduler
