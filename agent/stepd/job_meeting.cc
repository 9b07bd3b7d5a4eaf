// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/job_meeting.h"

#include <csignal>

#include "launcher/spec/init_protocol.h"

namespace slipway {
namespace {

constexpr std::uint32_t kRendezvousNode = 0, kMemberNode = 1;
constexpr auto kTick = std::chrono::milliseconds(500);
constexpr auto kGrace = std::chrono::seconds(5);  // a stopped command ends its step within

}  // namespace

JobMeeting::JobMeeting(Loop& loop, const StepSpec& spec, Host host)
    : loop_(loop), host_(std::move(host)), next_task_(kSpawnedTaskFirst) {
  if (!spec.rendezvous) return;
  if (spec.step.step == kBatchStep) {
    rendezvous_ = std::make_unique<Rendezvous>(RendezvousHost());
    return;
  }
  ExchangeCallbacks callbacks{
      .send = [this](std::uint32_t, std::string bytes) { host_.send({.bytes = std::move(bytes)}); },
      .serve =
          [this](std::uint32_t, Service service, std::string data, Exchange::Reply reply) {
            host_.serve(service, std::move(data), [this, reply = std::move(reply)](auto answer) {
              reply(std::move(answer));
              ArmTick();
            });
          },
      .step_failed = [](std::uint32_t, std::int32_t, std::string) {}};
  member_ = std::make_unique<Exchange>(
      kMemberNode, std::vector<std::string>{"of the batch script", spec.nodes[spec.node_index]},
      std::move(callbacks));
}

JobMeeting::~JobMeeting() {
  loop_.Cancel(tick_);
  for (auto& [number, task] : tasks_) loop_.Cancel(task.limit);
}

Rendezvous::Host JobMeeting::RendezvousHost() {
  return {
      .send =
          [this](const Rendezvous::Member& to, std::string bytes, std::string gone) {
            host_.send({to.step, to.node, std::move(bytes), std::move(gone)});
          },
      .launch = [this](std::uint64_t ticket, const JobLaunch& launch) { return StartLaunch(ticket, launch); },
      .stop =
          [this](std::uint64_t ticket) {
            for (auto& [number, task] : tasks_) {
              if (task.ticket == ticket) Stop(number);
            }
          },
  };
}

Result<> JobMeeting::StartLaunch(std::uint64_t ticket, const JobLaunch& launch) {
  ImageLaunch command = TRY(LaunchOf(launch.request, ticket));
  if (next_task_ == INT32_MAX) return Fail(Code::kResourceExhausted, "a job spawns no more than 2^30 steps");
  std::uint32_t task = next_task_++;
  TRY(host_.start(task, command));
  Task& kept = tasks_[task];
  kept.ticket = ticket;
  if (launch.limit_s > 0)
    kept.limit = loop_.After(std::chrono::seconds(launch.limit_s), [this, task] { Stop(task); });
  return {};
}

// The command passes it on to its step.
void JobMeeting::Stop(std::uint32_t task) {
  host_.signal(task, SIGTERM);
  loop_.Cancel(tasks_.at(task).limit);
  tasks_.at(task).limit = loop_.After(kGrace, [this, task] { host_.signal(task, SIGKILL); });
}

void JobMeeting::OnTaskEnded(std::uint32_t task, std::int32_t exit_code) {
  auto at = tasks_.find(task);
  if (at == tasks_.end()) return;
  std::uint64_t ticket = at->second.ticket;
  loop_.Cancel(at->second.limit);
  tasks_.erase(at);
  rendezvous_->LaunchEnded(ticket, exit_code);
  ArmTick();
}

void JobMeeting::TellWorlds() {
  std::vector<JobWorld> fresh;
  for (JobWorld& world : host_.worlds()) {
    if (told_.insert(world.name).second) fresh.push_back(std::move(world));
  }
  if (!fresh.empty())
    member_->Ask(kRendezvousNode, Service::kJobWorlds, Encode(fresh), [](Result<std::string>) {});
}

void JobMeeting::Ask(Service service, std::string data, Exchange::Reply reply) {
  if (!member_) return reply(Fail(Code::kUnimplemented, "the job has no other steps"));
  TellWorlds();
  member_->Ask(kRendezvousNode, service, std::move(data), std::move(reply));
  ArmTick();
}

Result<> JobMeeting::OnWord(const StepRendezvous& word) {
  if (member_ && !word.gone.empty()) {
    member_->PeerGone(kRendezvousNode, word.gone);
  } else if (member_) {
    TRY(member_->Deliver(kRendezvousNode, word.bytes));
  } else if (rendezvous_ && !word.gone.empty()) {
    word.step == kAnyStep ? rendezvous_->NodeGone(word.node, word.gone)
                          : rendezvous_->StepGone({word.step, word.node}, word.gone);
  } else if (rendezvous_) {
    TRY(rendezvous_->Deliver({word.step, word.node}, word.bytes));
  }
  ArmTick();
  return {};
}

void JobMeeting::Resend() {
  if (member_) member_->Resend();
  if (rendezvous_) rendezvous_->Resend();
}

void JobMeeting::ArmTick() {
  bool wants = member_ ? member_->wants_tick() : rendezvous_ && rendezvous_->wants_tick();
  if (tick_.value != 0 || !wants) return;
  tick_ = loop_.After(kTick, [this] {
    tick_ = {};
    if (member_) member_->Tick();
    if (rendezvous_) rendezvous_->Tick();
    ArmTick();
  });
}

}  // namespace slipway
