// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/relay.h"

#include <algorithm>

#include "base/log/log.h"
#include "base/text/hostlist.h"
#include "launcher/spec/task_binding.h"
#include "scheduler/server/convert.h"
#include "slipway/v1/job.pb.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kWindowBytesMax = 256 << 10, kWindowBytesMin = 64 << 10;
constexpr std::uint32_t kAllWindowsBytes = 8 << 20;  // of one step, over its nodes
constexpr std::uint32_t kInFlightMax = 64;

std::uint32_t WindowOf(std::size_t nodes) {
  auto share = static_cast<std::uint32_t>(kAllWindowsBytes / std::max<std::size_t>(nodes, 1));
  return std::clamp(share, kWindowBytesMin, kWindowBytesMax);
}

std::string NodesText(const Job& job) {
  std::vector<std::string> names;
  for (const NodeAllocation& node : job.nodes) names.push_back(node.node);
  return CompressHostlist(names);
}

}  // namespace

Relays::Relays(Loop& loop, World world) : loop_(loop), world_(std::move(world)) {}
Relays::~Relays() {
  for (auto& [key, relay] : relays_) loop_.Cancel(relay.orphan);
}

Result<> Relays::Attach(JobId id, std::uint32_t number, ClientPort* client) {
  const Job* job = world_.state().FindJob(id);
  if (job == nullptr) return Fail(Code::kNotFound, "there is no job ", id.value);
  if (job->FindStep(number) == nullptr && number != PrimaryStep(*job->spec)) {
    return Fail(Code::kNotFound, "job ", id.value, " has no step ", number);
  }
  Key key{id, number};
  Relay& relay = relays_[key];
  if (relay.client != nullptr) {
    // Most likely the same client, whose broken connection has not been noticed here yet.
    clients_.erase(relay.client);
    relay.client->Finish(
        Fail(Code::kAborted, "somebody else has attached to step ", number, " of job ", id.value));
    relay.input.reset();
    relay.taken = nullptr;
    relay.told_end = false;
  }
  loop_.Cancel(relay.orphan);
  relay.orphan = {};
  relay.client = client;
  relay.in_flight = 0;
  relay.notice.clear();
  clients_[client] = key;
  Pump(key);
  return {};
}

void Relays::Detach(ClientPort* client) {
  auto at = clients_.find(client);
  if (at == clients_.end()) return;
  Key key = at->second;
  clients_.erase(at);
  Relay& relay = relays_.at(key);
  relay.client = nullptr;
  relay.input.reset();
  relay.taken = nullptr;
  if (relay.told_end) return Drop(key);
  Expect(key.job, key.step, world_.reattach_within);
}

void Relays::Expect(JobId job, std::uint32_t step, Duration patience) {
  Key key{job, step};
  Relay& relay = relays_[key];
  if (relay.client != nullptr || relay.orphan.value != 0) return;
  relay.orphan = loop_.After(patience, [this, key] { Orphaned(key); });
}

void Relays::Orphaned(const Key& key) {
  auto at = relays_.find(key);
  if (at == relays_.end()) return;
  at->second.orphan = {};
  if (at->second.client != nullptr) return;
  const Job* job = world_.state().FindJob(key.job);
  const Step* step = job != nullptr ? job->FindStep(key.step) : nullptr;
  if (job == nullptr || IsTerminal(job->state) || (step != nullptr && step->state == StepState::kEnded))
    return Drop(key);
  // A launch lives and dies with its client; a step that writes to files, or that somebody only looked at,
  // does not.
  bool primary_of_launch = LivesWithClient(*job->spec) && key.step == PrimaryStep(*job->spec);
  bool streams = step != nullptr && step->command->stream;
  if (!primary_of_launch && !streams) return Drop(key);
  Relay& relay = at->second;
  relay.discard = true;
  while (!relay.held.empty()) {
    Held held = std::move(relay.held.front());
    relay.held.pop_front();
    Return(key, held.node, held.output.step.attempt, held.output.data.size());
  }
  world_.end_step({key.job, job->attempt, key.step});
}

void Relays::Drop(const Key& key) {
  auto at = relays_.find(key);
  if (at == relays_.end()) return;
  loop_.Cancel(at->second.orphan);
  if (at->second.client != nullptr) clients_.erase(at->second.client);
  relays_.erase(at);
}

// ---- From nodes

void Relays::Grant(const std::string& node, std::uint64_t session, const StepId& id) {
  const Job* job = world_.state().FindJob(id.job);
  const Step* step = job != nullptr && job->attempt == id.attempt ? job->FindStep(id.step) : nullptr;
  if (step == nullptr || !step->command->stream || step->state == StepState::kEnded) return;
  Relay& relay = relays_[Key{id.job, id.step}];
  if (relay.attempt != id.attempt) {
    relay.attempt = id.attempt;
    relay.nodes.clear();
    relay.held.clear();
  }
  NodeSide& side = relay.nodes[node];
  if (side.session == session) return;
  std::uint32_t held = 0;  // of an earlier stream of that node: still in our memory
  for (const Held& piece : relay.held)
    held += piece.node == node ? static_cast<std::uint32_t>(piece.output.data.size()) : 0;
  std::uint32_t window = WindowOf(step->nodes.size());
  side = {session, window - std::min(held, window), 0};
  if (side.credit == 0) return;
  v1::ToNode message;
  ToProto(id, message.mutable_credit()->mutable_step());
  message.mutable_credit()->set_bytes(side.credit);
  world_.send(node, message);
}

// Ranks that were dealt out otherwise than in blocks are only known to be the step's.
static bool RankIsOf(std::uint32_t rank, const StepNode& part, const Step& step) {
  if (DistributionOf(step.command->env).nodes == Distribution::kBlock)
    return rank >= part.first_rank && rank - part.first_rank < part.tasks;
  std::uint64_t tasks = 0;
  for (const StepNode& node : step.nodes) tasks += node.tasks;
  return rank < tasks;
}

bool Relays::TakeOutput(const std::string& node, std::uint64_t session, OutputPiece output) {
  const Job* job = world_.state().FindJob(output.step.job);
  const Step* step =
      job != nullptr && job->attempt == output.step.attempt ? job->FindStep(output.step.step) : nullptr;
  if (step == nullptr) return true;  // late: of an attempt that is over
  auto part =
      std::find_if(step->nodes.begin(), step->nodes.end(), [&](const StepNode& n) { return n.node == node; });
  if (part == step->nodes.end() || !RankIsOf(output.rank, *part, *step)) return false;
  if (output.stream != 1 && output.stream != 2) return false;
  Key key{output.step.job, output.step.step};
  auto at = relays_.find(key);
  if (at == relays_.end()) return output.data.empty();
  NodeSide& side = at->second.nodes[node];
  if (side.session != session || output.data.size() > side.credit) return false;
  side.credit -= static_cast<std::uint32_t>(output.data.size());
  if (output.data.empty()) return true;
  if (at->second.discard) {
    Return(key, node, output.step.attempt, output.data.size());
    return true;
  }
  at->second.held.push_back({node, std::move(output)});
  Pump(key);
  return true;
}

// Bytes have left our memory: the node may send as many again. Small returns are saved up.
void Relays::Return(const Key& key, const std::string& node, std::uint32_t attempt, std::size_t bytes) {
  auto at = relays_.find(key);
  if (at == relays_.end() || at->second.attempt != attempt) return;
  NodeSide& side = at->second.nodes[node];
  side.returned += static_cast<std::uint32_t>(bytes);
  if (side.session == 0 || (side.returned < kWindowBytesMin / 4 && side.credit > kWindowBytesMin / 2)) return;
  v1::ToNode message;
  ToProto({key.job, attempt, key.step}, message.mutable_credit()->mutable_step());
  message.mutable_credit()->set_bytes(side.returned);
  side.credit += side.returned;
  side.returned = 0;
  world_.send(node, message);
}

void Relays::NodeNotice(const std::string& node, const StepId& id, const std::string& text) {
  auto at = relays_.find(Key{id.job, id.step});
  const Job* job = world_.state().FindJob(id.job);
  if (at == relays_.end() || job == nullptr || job->FindNode(node) == nullptr) return;
  Notice(at->second, text);
}

// ---- To the client

void Relays::Pump(const Key& key) {
  auto at = relays_.find(key);
  if (at == relays_.end() || at->second.client == nullptr || at->second.told_end) return;
  Relay& relay = at->second;
  while (!relay.held.empty() && relay.in_flight < kInFlightMax) {
    Held held = std::move(relay.held.front());
    relay.held.pop_front();
    Deliver(key, relay, std::move(held));
  }
  const Job* job = world_.state().FindJob(key.job);
  const Step* step = job != nullptr ? job->FindStep(key.step) : nullptr;
  if (job != nullptr) NoticeState(*job, step, relay);
  PassInput(key, relay);
  if (relay.held.empty() && relay.in_flight == 0) TellEnd(key, relay);
}

void Relays::Deliver(const Key& key, Relay& relay, Held held) {
  v1::AttachOutput message;
  message.set_rank(held.output.rank);
  message.set_stream(held.output.stream);
  std::size_t bytes = held.output.data.size();
  message.set_data(std::move(held.output.data));
  SendCounted(key, relay, message, [this, key, node = held.node, attempt = held.output.step.attempt, bytes] {
    Return(key, node, attempt, bytes);
  });
}

void Relays::SendCounted(const Key& key, Relay& relay, const v1::AttachOutput& message,
                         std::function<void()> then) {
  ++relay.in_flight;
  relay.client->Send(message, [this, key, client = relay.client, then = std::move(then)] {
    if (then) then();
    auto at = relays_.find(key);
    if (at == relays_.end() || at->second.client != client) return;
    --at->second.in_flight;
    Pump(key);
  });
}

void Relays::Notice(Relay& relay, const std::string& text, bool running) {
  if (relay.client == nullptr || relay.told_end || text.empty() || text == relay.notice) return;
  relay.notice = text;
  v1::AttachOutput message;
  message.set_notice(text);
  message.set_running(running);
  relay.client->Send(message, {});
}

void Relays::NoticeState(const Job& job, const Step* step, Relay& relay) {
  if (job.state == JobState::kPending) return Notice(relay, Cat("waiting: ", world_.pending_reason(job)));
  if (job.state == JobState::kStarting && relay.notice.find("staging") == std::string::npos) {
    return Notice(relay, Cat("starting on ", NodesText(job)));
  }
  if (step != nullptr && step->state == StepState::kRunning)
    Notice(relay, Cat("running on ", NodesText(job)), true);
}

// The last message, once the end is durable and all output before it has been taken.
bool Relays::TellEnd(const Key& key, Relay& relay) {
  const Job* job = world_.state().FindJob(key.job);
  const Step* step = job != nullptr ? job->FindStep(key.step) : nullptr;
  bool step_ended = step != nullptr && step->state == StepState::kEnded;
  // The primary step of a job that may be requeued ends with the job; others with themselves.
  if (job != nullptr && !IsTerminal(job->state) && (!step_ended || (job->spec->requeue && !job->outcome)))
    return false;
  v1::AttachOutput message;
  message.set_ended(true);
  if (step_ended) {
    message.set_exit_code(step->exit_code);
    message.set_reason(!step->message.empty() ? step->message
                       : step->exit_code == 0 ? ""
                                              : std::string(EndReasonName(step->reason)));
  } else if (job != nullptr && job->outcome) {
    message.set_exit_code(job->outcome->exit_code);
    message.set_reason(!job->outcome->message.empty() ? job->outcome->message
                                                      : std::string(JobStateName(job->state)));
  } else {
    message.set_reason("the controller has forgotten the job");
  }
  bool good = job != nullptr && job->outcome ? job->outcome->state == JobState::kCompleted : step_ended;
  if (!good && message.exit_code() == 0 && !(step_ended && step->reason == EndReason::kExited))
    message.set_exit_code(1);
  relay.told_end = true;
  world_.after_commit([this, key, message, client = relay.client] {
    auto at = relays_.find(key);
    if (at == relays_.end() || at->second.client != client) return;
    client->Send(message, {});
    client->Finish({});
  });
  return true;
}

// ---- From the client

void Relays::Feed(ClientPort* client, StdinPiece input, std::function<void()> taken) {
  auto at = clients_.find(client);
  if (at == clients_.end()) return;
  Relay& relay = relays_.at(at->second);
  relay.input = std::move(input);
  relay.taken = std::move(taken);
  PassInput(at->second, relay);
}

void Relays::Signal(const Job& job, const Step& step, std::int32_t signal) {
  v1::ToNode message;
  ToProto({job.id, job.attempt, step.number}, message.mutable_signal()->mutable_step());
  message.mutable_signal()->set_signal(signal);
  for (const StepNode& node : step.nodes) {
    if (node.state != StepState::kEnded) world_.send(node.node, message);
  }
}

void Relays::PassInput(const Key& key, Relay& relay) {
  if (!relay.input) return;
  const Job* job = world_.state().FindJob(key.job);
  const Step* step = job != nullptr ? job->FindStep(key.step) : nullptr;
  bool over =
      job == nullptr || IsTerminal(job->state) || (step != nullptr && step->state == StepState::kEnded);
  if (!over && (step == nullptr || step->state == StepState::kStarting) && relay.input->signal != 0) {
    world_.end_step({key.job, job->attempt, key.step});  // Ctrl-C before anything runs
    relay.input->signal = 0;
  }
  if (!over) {
    if (step == nullptr || step->nodes.front().state == StepState::kStarting) {
      if (relay.input->any()) return;  // stays until rank 0's node has started
    } else {
      if (relay.input->signal != 0) Signal(*job, *step, relay.input->signal);
      if (relay.input->any()) {
        v1::ToNode message;
        ToProto({key.job, job->attempt, key.step}, message.mutable_input()->mutable_step());
        message.mutable_input()->set_data(relay.input->data);
        message.mutable_input()->set_eof(relay.input->eof);
        if (relay.input->terminal) *message.mutable_input()->mutable_terminal() = *relay.input->terminal;
        if (!world_.send(step->nodes.front().node, message))
          return;  // its stream is away: again when it is back
      }
    }
  }
  relay.input.reset();
  auto taken = std::move(relay.taken);
  relay.taken = nullptr;
  if (taken) taken();
}

// ---- Changes

void Relays::Wake(JobId job) {
  std::vector<Key> keys;
  for (auto at = relays_.lower_bound(Key{job, 0}); at != relays_.end() && at->first.job == job; ++at)
    keys.push_back(at->first);
  for (const Key& key : keys) {
    auto at = relays_.find(key);
    if (at == relays_.end()) continue;
    const Job* now = world_.state().FindJob(job);
    if (at->second.client == nullptr && (now == nullptr || IsTerminal(now->state)) &&
        (at->second.held.empty() || at->second.discard)) {
      Drop(key);
    } else {
      Pump(key);
    }
  }
}

void Relays::WakePending() {
  for (auto& [client, key] : clients_) {
    const Job* job = world_.state().FindJob(key.job);
    if (job != nullptr && job->state == JobState::kPending) NoticeState(*job, nullptr, relays_.at(key));
  }
}

}  // namespace slipway::scheduler
