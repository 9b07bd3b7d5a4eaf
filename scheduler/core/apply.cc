// SPDX-License-Identifier: Apache-2.0
// A report may come late, twice, or for an attempt that is history, and an old log may hold all of these:
// each event first looks whether it still applies.
#include "scheduler/core/apply.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "scheduler/core/apply_accounts.h"
#include "scheduler/core/apply_dependencies.h"
#include "scheduler/core/derived.h"
#include "scheduler/core/usage.h"

namespace slipway::scheduler {
namespace {

class Applier {
 public:
  Applier(State& state, Time at) : state_(state), at_(at) {}

  void operator()(const EpochBegan& e) {
    state_.epoch = std::max(state_.epoch, e.epoch);
    for (auto& [name, node] : state_.nodes) {
      if (node.state == NodeState::kUp) SetState(node, NodeState::kUnknown);
    }
  }

  void operator()(const JobSubmitted& e) {
    if (e.job < state_.next_job) return;
    auto spec = std::make_shared<const JobSpec>(e.spec);
    EnsureAssociation(state_, *spec);
    if (!spec->array) {
      AddJob(e.job, spec, {}, 0);
      state_.next_job = {e.job.value + 1};
      return;
    }
    AddArray(e.job, spec, e.window);
  }

  void operator()(const HetJobSubmitted& e) {
    if (e.leader < state_.next_job || e.components.empty()) return;
    state_.hets[e.leader] = static_cast<std::uint32_t>(e.components.size());
    JobId id = e.leader;
    for (const JobSpec& component : e.components) {
      auto spec = std::make_shared<const JobSpec>(component);
      EnsureAssociation(state_, *spec);
      AddJob(id, spec, {}, 0);
      ++id.value;
    }
    state_.next_job = id;
  }

  void operator()(const ArrayTaskMade& e) {
    Array* array = FindArray(e.array);
    if (array == nullptr || array->cancelled || e.task >= array->tasks || array->IsMade(e.task)) return;
    array->made_early.insert(e.task);
    MakeTask(*array, e.task);
    SkipMade(*array);
    IndexUnmade(state_, *array);
  }

  void operator()(const ArrayCancelled& e) {
    Array* array = FindArray(e.array);
    if (array == nullptr || array->unmade() == 0) return;
    std::uint32_t count = array->unmade();
    CountLive(state_, *array->spec, -std::int64_t{count});
    array->ended += count;
    array->failed += count;
    array->cancelled = e.uid;
    array->pattern.ended = at_;
    IndexUnmade(state_, *array);
    ResolveOn(state_, at_, array->id);
    for (auto at = state_.dependents.lower_bound(array->TaskId(array->made));
         at != state_.dependents.end() && at->first < array->TaskId(array->tasks); ++at)
      ResolveOn(state_, at_, at->first);
  }

  void operator()(const JobStarted& e) {
    Job* job = Find(e.job);
    if (job == nullptr || job->state != JobState::kPending || e.attempt != job->attempt + 1 ||
        e.nodes.empty())
      return;
    for (const NodeAllocation& held : e.nodes) {
      if (state_.nodes.count(held.node) == 0) return;
    }
    Unqueue(state_, *job);
    job->state = JobState::kStarting;
    job->planned.reset();
    job->attempt = e.attempt;
    job->nodes = e.nodes;
    job->started = at_;
    job->running = job->ended = {};
    job->outcome.reset();
    job->billing = e.billing;
    job->partition = e.partition;
    if (e.time_limit_s > 0 && e.time_limit_s < job->time_limit_s)
      job->limit_asked_s = std::exchange(job->time_limit_s, e.time_limit_s);
    job->suspended_us = 0;
    job->signalled = false;
    job->kill_at = {};
    job->charged_until = e.billing > 0 ? at_ : Time{};
    for (const NodeAllocation& held : job->nodes) Allot(state_.nodes.find(held.node)->second, job->id, held);
    Index(state_, *job);
    CountRunning(*job, +1);
    job->steps.clear();
    job->next_step = 0;
    if (job->spec->interactive || !state_.FollowsLeader(job->id)) {
      MakePrimaryStep(*job);
    } else {
      job->state = JobState::kRunning;
      job->running = at_;
    }
    Resolve(state_, at_, *job);
    MakeNext(job->array);
  }

  void operator()(const JobCancelRequested& e) {
    Job* job = Find(e.job);
    if (job != nullptr && !IsTerminal(job->state) && !job->cancelled_by) job->cancelled_by = e.uid;
  }

  void operator()(const JobCompleting& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr || job->state == JobState::kCompleting) return;
    job->state = JobState::kCompleting;
    job->outcome = e.outcome;
    if (job->suspended()) job->charged_until = std::max(job->charged_until, at_);
    job->suspended_at = {};  // its processes are to end; cores that it has lent it does not get back
  }

  void operator()(const NodeReleased& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr) return;
    auto held = std::ranges::find(job->nodes, e.node, &NodeAllocation::node);
    if (held == job->nodes.end() || held->released) return;
    held->released = true;
    Release(state_.nodes.find(e.node)->second, job->id, *held, !job->lent_to);
    for (Step& step : job->steps) {
      for (StepNode& part : step.nodes) {
        if (part.node == e.node && part.state != StepState::kEnded)
          End(step, part, 137, EndReason::kKilled, "", at_);
      }
    }
  }

  void operator()(const JobEnded& e) {
    Job* job = Find(e.job);
    if (job == nullptr || IsTerminal(job->state) || e.attempt != job->attempt || !Cleared(*job)) return;
    if (IsActive(job->state)) {
      CountRunning(*job, -1);
      ChargeJob(state_, *job, at_);
    }
    Unqueue(state_, *job);
    state_.active.erase(job->id);
    state_.lenders.erase(job->id);
    if (state_.live.erase(job->id) > 0) CountLive(state_, *job->spec, -1);
    job->outcome = e.outcome;
    job->state = e.outcome.state;
    job->planned.reset();
    job->ended = at_;
    for (const JobDependency& dependency : job->dependencies) {
      auto dependents = state_.dependents.find(dependency.what.on);
      if (dependents != state_.dependents.end()) dependents->second.erase(job->id);
    }
    auto array = state_.arrays.find(job->array);
    if (array != state_.arrays.end()) {
      ++array->second.ended;
      array->second.failed += job->state == JobState::kCompleted ? 0 : 1;
    }
    Resolve(state_, at_, *job);
    MakeNext(job->array);
  }

  void operator()(const JobRequeued& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr || job->state != JobState::kCompleting || !Cleared(*job)) return;
    CountRunning(*job, -1);
    ChargeJob(state_, *job, at_);
    state_.active.erase(job->id);
    job->state = JobState::kPending;
    job->outcome.reset();
    job->requeue_wanted = false;
    job->preempted_by.reset();
    job->preempted_at = {};
    job->partition.clear();
    if (job->limit_asked_s > 0) job->time_limit_s = std::exchange(job->limit_asked_s, 0);
    job->lent_to.reset();
    state_.lenders.erase(job->id);
    job->kill_at = {};
    job->eligible = at_;
    Index(state_, *job);
  }

  void operator()(const JobUpdated& e) {
    if (Array* array = FindArray(e.job)) return Update(array->pattern, e.update);
    Job* job = Find(e.job);
    if (job == nullptr || IsTerminal(job->state)) return;
    Unqueue(state_, *job);
    Update(*job, e.update);
    if (e.update.requeue && IsActive(job->state)) job->requeue_wanted = true;
    Index(state_, *job);
  }

  void operator()(const JobsForgotten& e) {
    for (JobId id : e.jobs) {
      Job* job = Find(id);
      if (job == nullptr || !IsTerminal(job->state)) continue;
      auto array = state_.arrays.find(job->array);
      if (array != state_.arrays.end() && --array->second.kept == 0 && array->second.unmade() == 0) {
        state_.dependents.erase(array->first);
        state_.arrays.erase(array);
      }
      state_.dependents.erase(id);
      const std::vector<JobId> whole = state_.ComponentsOf(id);
      state_.jobs.erase(id);
      if (!whole.empty() && std::ranges::none_of(whole, [&](JobId one) { return state_.jobs.contains(one); }))
        state_.hets.erase(whole.front());
    }
  }

  void operator()(const StepCreated& e) {
    Job* job = FindAttempt(e.step.job, e.step.attempt);
    if (job == nullptr || job->state == JobState::kCompleting || e.step.step != job->next_step) return;
    Step step;
    step.number = e.step.step;
    step.command = std::make_shared<const Command>(e.command);
    step.cores_per_task = e.cores_per_task;
    step.time_limit_s = e.time_limit_s;
    step.nodes = e.nodes;
    step.created = at_;
    job->steps.push_back(std::move(step));
    ++job->next_step;
  }

  void operator()(const StepKillRequested& e) {
    Step* step = FindStep(e.step);
    if (step != nullptr && step->state != StepState::kEnded) step->kill_requested = true;
  }

  void operator()(const StepNodeStarted& e) {
    Step* step = FindStep(e.step);
    StepNode* part = FindPart(step, e.node);
    if (part == nullptr || part->state != StepState::kStarting) return;
    part->state = StepState::kRunning;
    part->started = e.started;
    part->timings = Slowest(part->timings, e.timings);
    if (step->state == StepState::kStarting) {
      step->state = StepState::kRunning;
      step->started = at_;
    }
    Job* job = Find(e.step.job);
    if (job->state == JobState::kStarting && step == &job->steps.front()) {
      job->state = JobState::kRunning;
      job->running = at_;
    }
  }

  void operator()(const StepNodeEnded& e) {
    Step* step = FindStep(e.step);
    StepNode* part = FindPart(step, e.node);
    if (part == nullptr || part->state == StepState::kEnded) return;
    part->timings = Slowest(part->timings, e.timings);
    End(*step, *part, e.exit_code, e.reason, e.message, e.ended);
  }

  void operator()(const StepFactsNoted& e) {
    if (StepNode* part = FindPart(FindStep(e.step), e.node); part != nullptr)
      part->facts = std::make_shared<const StepFacts>(e.facts);
  }

  void operator()(const NodeRegistered& e) {
    Node& node = state_.nodes[e.node];
    bool rebooted = node.boot_id != e.boot_id;
    node.name = e.node;
    node.facts = e.facts;
    node.boot_id = e.boot_id;
    node.address = e.address;
    node.images = {e.images.begin(), e.images.end()};
    // A node that was declared down and did not reboot may still run what we gave up: an administrator
    // resumes it.
    if (node.state != NodeState::kDown || rebooted) SetState(node, NodeState::kUp);
    RefreshFree(node);
  }
  void operator()(const NodeLost& e) {
    Node* node = FindNode(e.node);
    if (node != nullptr && node->state == NodeState::kUp) SetState(*node, NodeState::kUnknown);
  }
  void operator()(const NodeDrained& e) {
    Node* node = FindNode(e.node);
    if (node == nullptr) return;
    node->drained = true;
    node->reason = e.reason;
    node->since = at_;
  }
  void operator()(const NodeResumed& e) {
    Node* node = FindNode(e.node);
    if (node == nullptr) return;
    node->drained = false;
    node->reason.clear();
    node->since = at_;
    if (node->state == NodeState::kDown) SetState(*node, e.connected ? NodeState::kUp : NodeState::kUnknown);
  }
  void operator()(const NodeDeclaredDown& e) {
    Node* node = FindNode(e.node);
    if (node == nullptr) return;
    node->reason = e.reason;
    SetState(*node, NodeState::kDown);
  }
  void operator()(const ImageStaged& e) {
    Node* node = FindNode(e.node);
    if (node != nullptr) node->images.insert(e.digest);
  }
  void operator()(const ImageDropped& e) {
    Node* node = FindNode(e.node);
    if (node != nullptr) node->images.erase(e.digest);
  }
  void operator()(const JobPreempted& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr || job->state == JobState::kCompleting || job->preempted_by) return;
    job->preempted_by = e.by;
    job->preempted_at = at_;
    job->kill_at = e.kill_at;
    job->requeue_wanted = job->requeue_wanted || e.requeue;
  }
  void operator()(const JobSuspended& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr || job->state != JobState::kRunning || job->suspended()) return;
    ChargeJob(state_, *job, at_);
    job->suspended_at = at_;
    if (e.by.value == 0) return;
    job->lent_to = e.by;
    state_.lenders.insert(job->id);
    EachHeld(*job, [](Node& node, const NodeAllocation& held) { node.cores_allotted.Remove(held.cores); });
  }
  void operator()(const JobResumed& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr || !job->suspended()) return;
    if (job->lent_to) {
      bool free = true;
      EachHeld(*job, [&](Node& node, const NodeAllocation& held) {
        free = free && !node.cores_allotted.Intersects(held.cores);
      });
      if (!free) return;
      EachHeld(*job, [](Node& node, const NodeAllocation& held) { node.cores_allotted.Insert(held.cores); });
    }
    job->lent_to.reset();
    state_.lenders.erase(job->id);
    job->charged_until = std::max(job->charged_until, at_);
    job->suspended_us += at_.us - job->suspended_at.us;
    job->suspended_at = {};
  }
  void operator()(const JobSignalled& e) {
    Job* job = FindAttempt(e.job, e.attempt);
    if (job == nullptr || job->state == JobState::kCompleting || job->signalled) return;
    job->signalled = true;
    for (Step& step : job->steps)
      step.signalled =
          step.state != StepState::kEnded && (step.number == kBatchStep) == job->spec->signal.batch_only;
  }
  void operator()(const StartPlanned& e) {
    Job* job = Find(e.job);
    if (job == nullptr || job->state != JobState::kPending) return;
    job->planned = e.planned;
    if (e.planned.at.us == 0) job->planned.reset();
  }
  void operator()(const UsageClockSet& e) {
    const UsageClock& now = state_.usage_clock;
    if (e.clock.period_s != now.period_s || e.clock.decay_q32 != now.decay_q32)
      StartUsageClock(state_, e.clock, at_);
  }
  void operator()(const AccountSet& e) { ApplyAccount(state_, e); }
  void operator()(const AccountRemoved& e) { ApplyAccount(state_, e); }
  void operator()(const AssociationSet& e) { ApplyAccount(state_, e); }
  void operator()(const AssociationRemoved& e) { ApplyAccount(state_, e); }
  void operator()(const ReservationSet& e) { state_.reservations[e.reservation.name] = e.reservation; }
  void operator()(const ReservationRemoved& e) { state_.reservations.erase(e.reservation); }

 private:
  // What of the job is not released, with its nodes' free resources brought up to date after it.
  template <class See>
  void EachHeld(const Job& job, See see) {
    for (const NodeAllocation& held : job.nodes) {
      if (held.released) continue;
      Node& node = state_.nodes.find(held.node)->second;
      see(node, held);
      RefreshFree(node);
    }
  }
  Job* Find(JobId id) {
    auto found = state_.jobs.find(id);
    return found == state_.jobs.end() ? nullptr : &found->second;
  }
  Array* FindArray(JobId id) {
    auto found = state_.arrays.find(id);
    return found == state_.arrays.end() ? nullptr : &found->second;
  }
  void Update(Job& job, const JobUpdate& update) const {
    if (update.hold) {
      if (*update.hold == Hold::kNone && job.hold != Hold::kNone) job.eligible = at_;
      job.hold = *update.hold;
    }
    if (update.priority) job.base_priority = *update.priority;
    if (update.nice) job.nice = *update.nice;
    if (update.time_limit_s) job.time_limit_s = *update.time_limit_s;
    if (update.begin) job.begin = *update.begin;
    job.eligible = std::max(job.eligible, job.begin);
  }
  // The job while that attempt holds resources.
  Job* FindAttempt(JobId id, std::uint32_t attempt) {
    Job* job = Find(id);
    return job != nullptr && IsActive(job->state) && job->attempt == attempt ? job : nullptr;
  }
  Step* FindStep(const StepId& id) {
    Job* job = FindAttempt(id.job, id.attempt);
    if (job == nullptr) return nullptr;
    auto found = std::ranges::find(job->steps, id.step, &Step::number);
    return found == job->steps.end() ? nullptr : &*found;
  }
  static StepNode* FindPart(Step* step, const std::string& node) {
    if (step == nullptr) return nullptr;
    auto found = std::ranges::find(step->nodes, node, &StepNode::node);
    return found == step->nodes.end() ? nullptr : &*found;
  }
  Node* FindNode(const std::string& name) {
    auto found = state_.nodes.find(name);
    return found == state_.nodes.end() ? nullptr : &found->second;
  }
  void SetState(Node& node, NodeState state) {
    if (node.state == state) return;
    node.state = state;
    node.since = at_;
  }
  static bool Cleared(const Job& job) {
    return job.state == JobState::kPending || std::ranges::all_of(job.nodes, &NodeAllocation::released);
  }
  void CountRunning(const Job& job, int change) {
    auto array = state_.arrays.find(job.array);
    if (array != state_.arrays.end()) array->second.running += static_cast<std::uint32_t>(change);
  }

  void Describe(Job& job, JobId id, std::shared_ptr<const JobSpec> spec, JobId array) const {
    job.id = id;
    job.spec = std::move(spec);
    job.array = array;
    job.submitted = at_;
    TakeFromSpec(job, *job.spec);
    job.eligible = std::max(at_, job.begin);
  }

  void AddJob(JobId id, std::shared_ptr<const JobSpec> spec, JobId array, std::uint32_t array_task) {
    Job& job = state_.jobs[id];
    Describe(job, id, std::move(spec), array);
    job.array_task = array_task;
    for (const Dependency& dependency : job.spec->dependencies) AddDependency(state_, at_, job, dependency);
    Index(state_, job);
  }

  void AddArray(JobId id, const std::shared_ptr<const JobSpec>& spec, std::uint32_t window) {
    Array& array = state_.arrays[id];
    array.id = id;
    array.spec = spec;
    array.first_task = {id.value + 1};
    array.tasks = static_cast<std::uint32_t>(spec->array->indices.size());
    array.window = window;
    state_.next_job = array.TaskId(array.tasks);
    if (window == 0) {
      array.made = array.kept = array.tasks;
      for (std::uint32_t task = 0; task < array.tasks; ++task)
        AddJob(array.TaskId(task), spec, id, spec->array->indices[task]);
      return;
    }
    Describe(array.pattern, id, spec, id);
    for (const Dependency& dependency : spec->dependencies)
      AddDependency(state_, at_, array.pattern, dependency);
    CountLive(state_, *spec, array.tasks);
    MakeNext(id);
  }

  // A task becomes a job, as the array is now.
  void MakeTask(Array& array, std::uint32_t task) {
    Job& job = state_.jobs[array.TaskId(task)];
    job = array.pattern;
    job.id = array.TaskId(task);
    job.array_task = array.spec->array->indices[task];
    CountLive(state_, *array.spec, -1);  // Index counts it
    Index(state_, job);
    ++array.kept;
  }

  static void SkipMade(Array& array) {
    while (array.made_early.erase(array.made) > 0) ++array.made;
  }

  // Tasks become jobs until enough of them wait.
  void MakeNext(JobId id) {
    Array* array = FindArray(id);
    if (array == nullptr || array->window == 0) return;
    while (array->unmade() > 0 && array->waiting < array->window) {
      MakeTask(*array, array->made++);
      SkipMade(*array);
    }
    IndexUnmade(state_, *array);
  }

  void MakePrimaryStep(Job& job) {
    Step step;
    step.number = PrimaryStep(*job.spec);
    step.command = PrimaryCommand(job);
    step.created = at_;
    if (job.spec->interactive) {
      step.cores_per_task = job.spec->resources.cores_per_task;
      for (const NodeAllocation& held : job.nodes)
        step.nodes.push_back({held.node, held.first_rank, held.tasks});
    } else {
      step.cores_per_task = job.nodes.front().cores.count();
      step.nodes.push_back({job.nodes.front().node, 0, 1});
    }
    job.steps.push_back(std::move(step));
    job.next_step = job.spec->interactive ? 1 : 0;
  }

  static Timings Slowest(const Timings& a, const Timings& b) {
    return {std::max(a.stage_us, b.stage_us), std::max(a.start_us, b.start_us),
            std::max(a.wireup_us, b.wireup_us), std::max(a.run_us, b.run_us)};
  }

  void End(Step& step, StepNode& part, std::int32_t exit_code, EndReason reason, const std::string& message,
           Time ended) {
    part.state = StepState::kEnded;
    part.exit_code = exit_code;
    part.reason = reason;
    part.message = message;
    part.ended = ended;
    if (!std::ranges::all_of(step.nodes, [](const StepNode& n) { return n.state == StepState::kEnded; }))
      return;
    step.state = StepState::kEnded;
    step.ended = at_;
    step.reason = EndReason::kExited;
    // A program's own failure comes before those that our kill caused, whatever the nodes' clocks say.
    auto order = [](const StepNode& n) {
      return std::tuple(n.reason == EndReason::kKilled, n.ended, n.first_rank);
    };
    const StepNode* first = nullptr;
    for (const StepNode& node : step.nodes) {
      step.timings = Slowest(step.timings, node.timings);
      bool failed = node.exit_code != 0 || node.reason != EndReason::kExited;
      if (failed && (first == nullptr || order(node) < order(*first))) first = &node;
    }
    if (first == nullptr) return;
    step.exit_code = first->exit_code;
    step.reason = first->reason;
    step.message = first->message;
  }

  State& state_;
  Time at_;
};

}  // namespace

void Apply(State& state, const Event& event) {
  state.now = std::max(state.now, event.at);
  AdvanceUsage(state, event.at);
  std::visit(Applier(state, event.at), event.body);
}

}  // namespace slipway::scheduler
