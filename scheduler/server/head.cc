// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/head.h"

#include <algorithm>

#include "base/log/log.h"
#include "launcher/spec/credential.h"
#include "scheduler/server/convert.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {
namespace {

constexpr Duration kAttachWithin = std::chrono::seconds(30);  // after the submission, or our restart

// Whose event it is; none for those of nodes.
std::vector<JobId> JobsOf(const Event& event) {
  return std::visit(
      [](const auto& body) -> std::vector<JobId> {
        if constexpr (requires { body.jobs; }) {
          return body.jobs;
        } else if constexpr (requires { body.job; }) {
          return {body.job};
        } else if constexpr (requires { body.step; }) {
          return {body.step.job};
        } else if constexpr (requires { body.array; }) {
          return {body.array};
        } else {
          return {};
        }
      },
      event.body);
}

}  // namespace

Result<std::unique_ptr<Head>> Head::Start(Loop& loop, std::unique_ptr<Store> store, SigningKey key,
                                          HeadOptions options, std::function<void(const Error&)> failed) {
  std::unique_ptr<Head> head(new Head(loop, std::move(key), std::move(options)));
  head->failed_ = std::move(failed);
  head->store_ = std::move(store);
  Replayed replayed = TRY_CONTEXT(Replay(*head->store_), "replaying the store");
  Epoch before = TRY(head->store_->CurrentEpoch());
  Epoch epoch = TRY(head->store_->BeginEpoch(before));
  Log(Level::kInfo, "state replayed",
      {{"records", replayed.records}, {"jobs", replayed.state.jobs.size()}, {"epoch", epoch}});
  head->snapshot_revision_ = replayed.revision - std::min<Revision>(replayed.revision, replayed.records);
  head->gpus_ = DiscoveredGpus::Load(head->options_.gpus_file);
  head->controller_ = std::make_unique<Controller>(
      std::move(replayed.state), ControllerOptions{.site = head->SiteWithGpus(),
                                                   .drain_after_users = head->options_.drain_after_users,
                                                   .localities = head->localities_});
  head->executor_ = std::make_unique<Executor>(*head->store_, *head, epoch, replayed.revision);
  Head* self = head.get();
  head->relays_ = std::make_unique<Relays>(
      loop, Relays::World{
                .state = [self]() -> const State& { return self->state(); },
                .pending_reason = [self](const Job& job) { return self->PendingText(job); },
                .send = [self](const std::string& node,
                               const v1::ToNode& message) { return self->SendNow(node, message); },
                .end_step =
                    [self](const StepId& step) {
                      const Job* job = self->state().FindJob(step.job);
                      if (job == nullptr) return;
                      Requester by{job->spec->user.uid, false};
                      Log(Level::kInfo, "nobody is attached any more",
                          {{"job", step.job.value}, {"step", step.step}});
                      bool whole = LivesWithClient(*job->spec) && step.step == PrimaryStep(*job->spec);
                      if (whole) return self->Cancel(step.job, by, {});
                      self->CancelOneStep(step.job, step.step, by, {});
                    },
                .after_commit = [self](std::function<void()> task) { self->AfterCommit(std::move(task)); },
                .reattach_within = head->options_.reattach_within});
  head->executor_->Run(head->controller_->Begin(epoch, head->Now()));
  head->ExpectClients();
  head->started_ = head->loop_.Now();
  if (!head->options_.fence.program.empty()) head->fencer_ = head->MakeFencer();
  head->CheckPresence();
  return head;
}

Head::~Head() {
  loop_.Cancel(tick_);
  loop_.Cancel(presence_);
}

// What a restart must know again: clients that are to come back, and which requests have been answered.
void Head::ExpectClients() {
  for (const auto& [id, job] : state().jobs) {
    const std::string& request = job.spec->command.request_id;
    bool task = job.array.value != 0;
    if (!request.empty()) {
      const Array* array =
          task && state().arrays.contains(job.array) ? &state().arrays.at(job.array) : nullptr;
      answered_[{job.spec->user.uid, 0, request}] =
          JobAccepted{task ? job.array : id, array != nullptr ? array->tasks : 1};
    }
    for (const Step& step : job.steps) {
      bool primary = step.number == PrimaryStep(*job.spec);
      if (!primary && !step.command->request_id.empty()) {
        answered_[{job.spec->user.uid, id.value, step.command->request_id}] =
            StepAccepted{{id, job.attempt, step.number}};
      }
      if (step.command->stream && step.state != StepState::kEnded)
        relays_->Expect(id, step.number, kAttachWithin);
    }
    if (LivesWithClient(*job.spec) && !IsTerminal(job.state))
      relays_->Expect(id, PrimaryStep(*job.spec), kAttachWithin);
  }
}

Time Head::Now() const {
  return {std::chrono::duration_cast<std::chrono::microseconds>(loop_.WallNow().time_since_epoch()).count()};
}

void Head::Feed(const scheduler::Input& input) { executor_->Run(controller_->Handle(input, Now())); }

ClientToken Head::Await(AnswerCallback done) {
  if (!done) return {0};
  ClientToken client{next_client_++};
  waiting_.emplace(client.value, std::move(done));
  return client;
}

// ---- Users

// A client that lost the answer asks again with the same id: it gets the first one's answer.
void Head::AskOnce(RequestKey key, AnswerCallback done, std::function<void(AnswerCallback)> ask) {
  if (key.id.empty()) return ask(std::move(done));
  if (auto at = answered_.find(key); at != answered_.end()) {
    return AfterCommit([done = std::move(done), answer = at->second] { done(answer); });
  }
  auto [at, first] = asking_.try_emplace(key);
  at->second.push_back(std::move(done));
  if (!first) return;
  ask([this, key](Result<Answer> answer) {
    auto node = asking_.extract(key);
    if (answer) answered_[key] = *answer;
    for (AnswerCallback& waiting : node.mapped()) waiting(answer);
  });
}

Result<std::optional<PlannedStart>> Head::WhenWould(JobSpec spec) {
  return controller_->WhenWould(std::move(spec), Now());
}

void Head::Submit(JobSpec spec, std::vector<JobSpec> others, std::uint32_t lease_s, AnswerCallback done) {
  RequestKey key{spec.user.uid, 0, spec.command.request_id};
  AskOnce(key, std::move(done), [this, &spec, &others, lease_s](AnswerCallback answer) {
    scheduler::SubmitJob input{Await(std::move(answer)), std::move(spec), std::move(others), lease_s};
    Feed(input);
  });
}

void Head::Create(CreateStep request, AnswerCallback done) {
  RequestKey key{request.by.uid, request.job.value, request.command.request_id};
  AskOnce(key, std::move(done), [this, &request](AnswerCallback answer) {
    request.client = Await(std::move(answer));
    Feed(request);
  });
}

void Head::Cancel(JobId job, Requester by, AnswerCallback done) {
  Feed(CancelJob{Await(std::move(done)), job, by});
}

void Head::Change(JobId job, Requester by, JobUpdate update, AnswerCallback done) {
  Feed(ChangeJob{Await(std::move(done)), job, by, update});
}

void Head::Suspend(JobId job, Requester by, bool suspended, AnswerCallback done) {
  Feed(SuspendJob{Await(std::move(done)), job, by, suspended});
}

void Head::ChangeAccounts(Requester by, AccountChange change, AnswerCallback done) {
  Feed(scheduler::ChangeAccount{Await(std::move(done)), by, std::move(change)});
}

void Head::ChangeNodes(const std::string& node, NodeChange change, const std::string& reason,
                       AnswerCallback done) {
  Feed(ChangeNode{Await(std::move(done)), node, change, reason});
}

void Head::ChangeReservations(Requester by, ReservationChange change, AnswerCallback done) {
  Feed(ChangeReservation{Await(std::move(done)), by, std::move(change)});
}

void Head::CancelOneStep(JobId job, std::uint32_t step, Requester by, AnswerCallback done) {
  Feed(CancelStep{Await(std::move(done)), StepId{job, 0, step}, by});
}

Result<> Head::CheckOwner(JobId id, Requester by) const {
  const Job* job = state().FindJob(id);
  auto found = state().arrays.find(id);
  const Array* array = found != state().arrays.end() ? &found->second : state().ArrayOf(id);
  if (job == nullptr && array == nullptr) return Fail(Code::kNotFound, "there is no job ", id.value);
  const JobSpec& spec = job != nullptr ? *job->spec : *array->spec;
  if (!by.admin && spec.user.uid != by.uid)
    return Fail(Code::kPermissionDenied, "job ", id.value, " belongs to ", spec.user.name);
  return {};
}

Result<> Head::SignalSteps(JobId id, const std::uint32_t* number, std::int32_t signal, Requester by) {
  TRY(CheckOwner(id, by));
  if (signal < 1 || signal > 64) return Fail(Code::kInvalidArgument, "there is no signal ", signal);
  const Job* job = state().FindJob(id);
  if (job == nullptr)
    return Fail(Code::kInvalidArgument, "job ", id.value, " is an array: signal its tasks one by one");
  std::size_t told = 0;
  for (const Step& step : job->steps) {
    if ((number != nullptr && step.number != *number) || step.state != StepState::kRunning) continue;
    v1::ToNode message;
    ToProto(StepId{id, job->attempt, step.number}, message.mutable_signal()->mutable_step());
    message.mutable_signal()->set_signal(signal);
    for (const StepNode& node : step.nodes)
      told += node.state == StepState::kRunning && SendNow(node.node, message);
  }
  if (told == 0)
    return Fail(Code::kFailedPrecondition, "nothing of job ", id.value, " runs that could get a signal");
  return {};
}

std::string Head::PendingText(const Job& job) const {
  if (job.state != JobState::kPending) return {};
  bool considered = controller_->ReasonOf(job.id) == PendingReason::kNone;
  return considered ? "it is being considered" : controller_->ReasonText(job.id);
}

bool Head::UsesImage(const std::string& digest) const {
  return std::any_of(state().live.begin(), state().live.end(), [&](JobId id) {
    const Job* job = state().FindJob(id);
    if (job == nullptr) return false;
    if (job->spec->command.image.digest == digest) return true;
    return std::any_of(job->steps.begin(), job->steps.end(),
                       [&](const Step& step) { return step.command->image.digest == digest; });
  });
}

bool Head::HasLiveJobOn(const std::string& name, std::uint32_t uid) const {
  const Node* node = state().FindNode(name);
  if (node == nullptr) return false;
  return std::any_of(node->jobs.begin(), node->jobs.end(), [&](JobId id) {
    const Job* job = state().FindJob(id);
    return job != nullptr && job->spec->user.uid == uid;
  });
}

std::uint64_t Head::Watch(JobId job, std::function<void()> changed) {
  std::uint64_t id = next_watch_++;
  watches_.emplace(id, Watching{job, std::move(changed)});
  watches_by_job_.emplace(job, id);
  return id;
}

void Head::Unwatch(std::uint64_t watch) {
  auto at = watches_.find(watch);
  if (at == watches_.end()) return;
  auto [first, last] = watches_by_job_.equal_range(at->second.job);
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second != watch) continue;
    watches_by_job_.erase(entry);
    break;
  }
  watches_.erase(at);
}

// Those of the array that were no jobs yet have ended with it.
void Head::WakeTasks(JobId id) {
  auto array = state().arrays.find(id);
  if (array == state().arrays.end()) return;
  std::set<JobId> watched;
  JobId end = array->second.TaskId(array->second.tasks);
  for (auto at = watches_by_job_.lower_bound(array->second.first_task);
       at != watches_by_job_.end() && at->first < end; ++at)
    watched.insert(at->first);
  for (JobId task : watched) WakeJob(task);
}

void Head::WakeJob(JobId job) {
  std::vector<std::uint64_t> ids;
  auto [first, last] = watches_by_job_.equal_range(job);
  for (auto entry = first; entry != last; ++entry) ids.push_back(entry->second);
  for (std::uint64_t id : ids) {
    auto at = watches_.find(id);
    if (at == watches_.end()) continue;
    auto changed = at->second.changed;
    changed();
  }
}

// ---- Effects

void Head::OnReply(const Reply& reply) {
  auto waiting = waiting_.extract(reply.client.value);
  if (waiting) waiting.mapped()(reply.answer);
}

void Head::OnTimer(Time at) {
  loop_.Cancel(tick_);
  tick_ = {};
  if (at.us == Time::kNeverUs) return;
  auto delay = std::chrono::microseconds(
      std::clamp<std::int64_t>(at.us - Now().us, 0, std::int64_t{3600} * 1'000'000));
  tick_ = loop_.After(delay, [this] {
    tick_ = {};
    Feed(Tick{});
  });
}

void Head::OnCommitted(const std::vector<Event>& events) {
  for (const Event& event : events) {
    Log(Level::kInfo, Describe(event));
    for (JobId id : JobsOf(event)) {
      const Job* job = state().FindJob(id);
      if (std::holds_alternative<JobSubmitted>(event.body) && job != nullptr && LivesWithClient(*job->spec))
        relays_->Expect(id, PrimaryStep(*job->spec), kAttachWithin);
      if (auto* created = std::get_if<StepCreated>(&event.body);
          created != nullptr && created->command.stream)
        relays_->Expect(id, created->step.step, kAttachWithin);
      relays_->Wake(id);
      WakeJob(id);
      if (job != nullptr && job->array.value != 0) WakeJob(job->array);
    }
    if (const auto* cancelled = std::get_if<ArrayCancelled>(&event.body)) WakeTasks(cancelled->array);
    if (std::holds_alternative<JobsForgotten>(event.body)) {
      std::erase_if(answered_, [this](const auto& entry) {
        JobId id = entry.first.job != 0 ? JobId{entry.first.job} : std::get<JobAccepted>(entry.second).job;
        return state().FindJob(id) == nullptr && !state().arrays.contains(id);
      });
    }
  }
  relays_->WakePending();
  MaybeSnapshot();
}

void Head::MaybeSnapshot() {
  // As many records as there are jobs: then a record's part in the making of snapshots does not grow with
  // the cluster's queue.
  std::uint64_t every = std::max<std::uint64_t>(options_.snapshot_every, state().jobs.size());
  if (executor_->revision() < snapshot_revision_ + every) return;
  snapshot_revision_ = executor_->revision();
  executor_->MakeSnapshot([this](std::function<void()> task) { snapshots_.Post(std::move(task)); },
                          [this](std::function<void()> task) { loop_.Post(std::move(task)); });
}

void Head::OnNoSnapshot(const Error& error) {
  Log(Level::kError, "no snapshot could be made of the log: a restart would fail as well",
      {{"reason", error.message}});
}

void Head::OnStoreFailed(const Error& error) { failed_(error); }

}  // namespace slipway::scheduler
