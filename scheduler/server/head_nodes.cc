// SPDX-License-Identifier: Apache-2.0
// Head's side towards the nodes: streams, presence, reports, and the messages that the core wants sent.
#include "base/log/log.h"
#include "launcher/spec/credential.h"
#include "scheduler/server/convert.h"
#include "scheduler/server/head.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {
namespace {

constexpr Duration kPresenceEvery = std::chrono::milliseconds(500);
constexpr std::size_t kUnackedMax = 100'000;

void LogImage(const std::string& node, const v1::ImageState& image) {
  if (image.held()) {
    if (image.chunks() == 0) return;  // it had it before
    return Log(Level::kInfo, "node fetched an image",
               {{"node", node},
                {"digest", image.digest()},
                {"chunks", image.chunks()},
                {"from_controller", image.from_controller()},
                {"from_peers", image.from_peers()},
                {"resumed", image.resumed()}});
  }
  if (image.error().empty())
    return Log(Level::kInfo, "node dropped an image", {{"node", node}, {"digest", image.digest()}});
  Log(Level::kWarn, "node could not get an image",
      {{"node", node}, {"digest", image.digest()}, {"reason", image.error()}});
}

}  // namespace

std::shared_ptr<const Site> Head::SiteWithGpus() const {
  Site configured = options_.site == nullptr ? Site() : *options_.site;
  std::vector<std::string> untyped;
  auto site = std::make_shared<const Site>(gpus_.AddedTo(configured, &untyped));
  if (!untyped.empty())
    Log(Level::kWarn, "GPUs of more types than can be told apart: these can only be asked for without a type",
        {{"type", untyped[0]}, {"gpus", untyped.size()}});
  return site;
}

// Numbers that jobs hold must go on meaning the same GPUs.
void Head::LearnGpus(const std::string& node, std::vector<DiscoveredGpu> gpus) {
  if (gpus_.Knows(node, gpus)) return;
  const Node* known = state().FindNode(node);
  if (known != nullptr && known->gpus_allotted.count() != 0) {
    return Log(Level::kWarn,
               "the node has other GPUs than before; taken over when it registers without jobs on them",
               {{"node", node}, {"gpus", gpus.size()}});
  }
  Log(Level::kInfo, "GPUs of a node", {{"node", node}, {"gpus", gpus.size()}});
  if (gpus_.Learn(node, std::move(gpus))) controller_->SetSite(SiteWithGpus());
}

Result<std::uint64_t> Head::NodeJoins(const std::string& node, NodePort* port, const v1::FromNode& first) {
  if (!first.has_register_())
    return Fail(Code::kInvalidArgument, "the first message of a node's stream must be Register");
  if (first.register_().node() != node) {
    return Fail(Code::kPermissionDenied, "the certificate is node ", node, "'s; it cannot register as \"",
                first.register_().node().substr(0, 64), "\"");
  }
  RegisterNode input = TRY(RegisterOf(first.register_()));
  std::vector<DiscoveredGpu> gpus = TRY(GpusOf(first.register_().facts()));
  std::uint64_t number = next_session_++;
  Presence& presence = presence_of_[node];
  if (auto old = sessions_.find(presence.session); old != sessions_.end()) {
    old->second.port->Close(Error{Code::kAborted, 0, "a later stream of this node has taken over"});
  }
  presence = {number, loop_.Now(), false, scheduler::PresentFactsOf(first.register_())};
  for (const std::string& what : presence.facts->cannot())
    Log(Level::kWarn, "node cannot hold a limit", {{"node", node}, {"what", what}});
  sessions_.emplace(number, Session{node, port});
  input.session = number;
  Log(Level::kInfo, "node joined",
      {{"node", node}, {"session", number}, {"cores", input.facts.cores}, {"steps", input.steps.size()}});
  LearnGpus(node, std::move(gpus));
  (*localities_)[node] = LocalityOf(first.register_().facts());
  Feed(input);
  // Reports of steps that it brings along are reports like any other.
  for (const v1::StepReport& report : first.register_().steps()) {
    v1::FromNode message;
    *message.mutable_report() = report;
    NodeReports(sessions_.at(number), number, message);
  }
  return number;
}

const v1::Node* Head::PresentFactsOf(const std::string& node) const {
  auto at = presence_of_.find(node);
  return at == presence_of_.end() ? nullptr : at->second.facts.get();
}

void Head::NodeSays(std::uint64_t number, const v1::FromNode& message) {
  auto at = sessions_.find(number);
  if (at == sessions_.end()) return;
  Session& session = at->second;
  if (Presence& presence = presence_of_[session.node]; presence.session == number)
    presence.heard = loop_.Now();
  switch (message.body_case()) {
    case v1::FromNode::kReport:
      return NodeReports(session, number, message);
    case v1::FromNode::kOutput: {
      const v1::StepOutputChunk& chunk = message.output();
      if (relays_->TakeOutput(session.node, number,
                              {StepIdOf(chunk.step()), chunk.rank(), chunk.stream(), chunk.data()}))
        return;
      Log(Level::kWarn, "output without credit or of a rank that is not the node's; the stream is closed",
          {{"node", session.node}, {"job", chunk.step().job()}});
      return session.port->Close(Error{Code::kResourceExhausted, 0,
                                       "output beyond the credit, or of a rank that is not this node's"});
    }
    case v1::FromNode::kImage:
      LogImage(session.node, message.image());
      Feed(ReportImage{session.node, message.image().digest(), message.image().held()});
      return;
    case v1::FromNode::kReleased:
      return Feed(
          JobReleased{session.node, number, {message.released().job()}, message.released().attempt()});
    case v1::FromNode::kRegister:
      return session.port->Close(Error{Code::kInvalidArgument, 0, "Register may come only once on a stream"});
    case v1::FromNode::kCondition:
      return NodeFinds(session, number, message.condition());
    case v1::FromNode::kHeartbeat:
      // Of the newest stream alone: a lease counts from when that was heard, and another's would not be seen.
      if (presence_of_[session.node].session != number) return;
      return AnswerHeartbeat(session, message.heartbeat().sequence());
    default:
      return;
  }
}

void Head::NodeFinds(const Session& session, std::uint64_t number, const v1::NodeCondition& condition) {
  ReportCondition input = ConditionOf(condition);
  input.node = session.node;
  input.session = number;
  bool well = input.reason.empty();
  Log(well ? Level::kInfo : Level::kWarn, well ? "node is well" : "node is unfit",
      {{"node", session.node}, {"reason", input.reason}});
  Feed(input);
}

void Head::AnswerHeartbeat(Session& session, std::uint64_t sequence) {
  v1::ToNode out;
  out.set_epoch(state().epoch);
  out.mutable_heartbeat_ack()->set_sequence(sequence);
  out.mutable_heartbeat_ack()->set_time_ms(
      std::chrono::duration_cast<std::chrono::milliseconds>(loop_.WallNow().time_since_epoch()).count());
  session.port->Send(out);
}

void Head::NodeReports(Session& session, std::uint64_t number, const v1::FromNode& message) {
  const v1::StepReport& in = message.report();
  std::optional<StepReport> report = ReportOf(in);
  if (!report) {  // how far a start has come; nothing to keep
    relays_->NodeNotice(session.node, StepIdOf(in.step()), Cat("staging the image on ", session.node));
    v1::ToNode ack;
    *ack.mutable_ack()->mutable_step() = in.step();
    ack.mutable_ack()->set_sequence(in.sequence());
    SendNow(session.node, ack);
    return;
  }
  if (session.reports.size() >= kUnackedMax)
    return session.port->Close(
        Error{Code::kResourceExhausted, 0, "too many reports without acknowledgement"});
  report->node = session.node;
  report->session = number;
  report->seq = session.next_seq++;
  session.reports.emplace(report->seq,
                          Reported{report->step, in.sequence(), in.kind() == v1::StepReport::STARTED});
  Feed(*report);
}

void Head::NodeGone(std::uint64_t number) {
  auto at = sessions_.find(number);
  if (at == sessions_.end()) return;
  Log(Level::kWarn, "node's stream is gone; it counts as lost when it does not come back",
      {{"node", at->second.node},
       {"session", number},
       {"within_s", std::chrono::duration_cast<std::chrono::seconds>(options_.node_lost_after).count()}});
  sessions_.erase(at);
}

void Head::CloseAllNodes() {
  for (auto& [number, session] : sessions_)
    session.port->Close(Error{Code::kUnavailable, 0, "the controller is stopping"});
}

void Head::CheckPresence() {
  for (auto& [node, presence] : presence_of_) {
    if (presence.lost || loop_.Now() - presence.heard < options_.node_lost_after) continue;
    presence.lost = true;
    Log(Level::kWarn, "node is silent: lost; its jobs run on",
        {{"node", node}, {"session", presence.session}});
    if (auto at = sessions_.find(presence.session); at != sessions_.end()) {
      at->second.port->Close(
          Error{Code::kDeadlineExceeded, 0, "nothing was heard from this node for too long"});
    }
    Feed(LoseNode{node, presence.session});
  }
  TellOfSilence();
  if (fencer_) fencer_->Look();
  presence_ = loop_.After(kPresenceEvery, [this] { CheckPresence(); });
}

// Before our start a controller may have answered until just then.
void Head::TellOfSilence() {
  if (state().leases.empty()) return;
  std::vector<NodeSilent> silent;
  for (const auto& [name, node] : state().nodes) {
    auto presence = presence_of_.find(name);
    MonotonicTime heard = presence == presence_of_.end() ? started_ : presence->second.heard;
    std::int64_t silent_s = std::chrono::duration_cast<std::chrono::seconds>(loop_.Now() - heard).count();
    auto wait = ShortestLeaseWait(state(), name);
    if (wait && silent_s >= *wait) silent.push_back({name, silent_s});
  }
  for (const NodeSilent& node : silent) {
    Log(Level::kWarn, "the lease of what ran on a silent node is over",
        {{"node", node.node}, {"silent_s", node.silent_s}});
    Feed(node);
  }
}

HeardNode Head::HeardOf(const Node& node) const {
  auto presence = presence_of_.find(node.name);
  bool here = presence != presence_of_.end();
  return {.node = node.name,
          .state = node.state,
          .session = here ? presence->second.session : 0,
          .heard = here ? presence->second.heard : started_,
          .holds_jobs = !node.jobs.empty(),
          .drained = node.drained,
          .drained_by_admin = node.drained && !node.reason.starts_with(kHealth)};
}

std::unique_ptr<Fencer> Head::MakeFencer() {
  auto hear = [this] {
    std::vector<HeardNode> nodes;
    nodes.reserve(state().nodes.size());
    for (const auto& [name, node] : state().nodes) nodes.push_back(HeardOf(node));
    return nodes;
  };
  return std::make_unique<Fencer>(
      loop_, options_.fence,
      Fencer::World{.hear = hear,
                    .question =
                        [this](const FencePlan::Question& question) {
                          return QuestionText(question, state(), options_.cluster_name);
                        },
                    .declare_dead =
                        [this](const std::string& node, const std::string& reason) {
                          ChangeNodes(node, NodeChange::kDown, reason, {});
                        }});
}

std::string Head::FenceTextOf(const Node& node) const {
  return fencer_ ? fencer_->TextOf(HeardOf(node)) : std::string();
}

bool Head::SendNow(const std::string& node, const v1::ToNode& message) {
  auto presence = presence_of_.find(node);
  if (presence == presence_of_.end()) return false;
  auto session = sessions_.find(presence->second.session);
  if (session == sessions_.end()) return false;
  v1::ToNode stamped = message;
  stamped.set_epoch(state().epoch);
  session->second.port->Send(stamped);
  return true;
}

void Head::OnSend(const scheduler::Send& send) {
  auto at = sessions_.find(send.session);
  if (at == sessions_.end() || presence_of_[send.node].session != send.session)
    return;  // it will register again
  SendToNode(at->second, send.message);
  if (std::holds_alternative<Registered>(send.message)) GrantRunning(send.node, send.session);
  if (auto* launch = std::get_if<LaunchStep>(&send.message))
    relays_->Grant(send.node, send.session, launch->step);
}

void Head::SendToNode(Session& session, const NodeMessage& message) {
  Log(Level::kDebug, Describe(message), {{"node", session.node}});
  v1::ToNode out;
  out.set_epoch(state().epoch);
  if (auto* launch = std::get_if<LaunchStep>(&message)) {
    auto credential =
        CredentialOf(*launch, {options_.cluster_id, options_.processes_per_core_max, options_.job_cgroup,
                               state().FindNode(session.node), PresentFactsOf(session.node)});
    CHECK(credential.has_value());  // job_cgroup was read at our start
    ToProto(*launch, {options_.cluster_id, options_.cluster_name, &state(), &site()},
            SignCredential(*credential, key_), &out);
    // What a driver's libraries have to fit.
    if (out.launch().gpu_ids_size() != 0 && options_.libc_of)
      out.mutable_launch()->set_image_libc(options_.libc_of(launch->image_digest));
  } else if (auto* kill = std::get_if<KillStep>(&message)) {
    ToProto(kill->step, out.mutable_kill());
  } else if (auto* end = std::get_if<EndJob>(&message)) {
    out.mutable_end_job()->set_job(end->job.value);
    out.mutable_end_job()->set_attempt(end->attempt);
  } else if (auto* suspend = std::get_if<SuspendStep>(&message)) {
    ToProto(suspend->step, out.mutable_suspend()->mutable_step());
    out.mutable_suspend()->set_suspended(suspend->suspended);
  } else if (auto* warn = std::get_if<WarnStep>(&message)) {
    ToProto(warn->step, out.mutable_warn());
  } else if (auto* signal = std::get_if<SignalStep>(&message)) {
    ToProto(signal->step, out.mutable_signal()->mutable_step());
    out.mutable_signal()->set_signal(signal->signal);
    out.mutable_signal()->set_before_limit(true);
    out.mutable_signal()->set_rank_alone(signal->rank_alone);
  } else if (auto* prefetch = std::get_if<Prefetch>(&message)) {
    out.mutable_prefetch()->set_digest(prefetch->digest);
  } else if (auto* ack = std::get_if<AckReport>(&message)) {
    auto report = session.reports.extract(ack->seq);
    if (!report) return;
    ToProto(report.mapped().step, out.mutable_ack()->mutable_step());
    out.mutable_ack()->set_sequence(report.mapped().sequence);
    if (report.mapped().started) return session.port->SendSoon(out);  // nobody waits for it
  } else if (std::holds_alternative<Registered>(message)) {
    out.mutable_registered()->set_heartbeat_interval_ms(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.heartbeat).count()));
    out.mutable_registered()->set_cluster(options_.cluster_name);
  }
  session.port->Send(out);
}

// Credit counts from zero on each stream: what runs on may send again.
void Head::GrantRunning(const std::string& name, std::uint64_t number) {
  const Node* node = state().FindNode(name);
  if (node == nullptr) return;
  for (JobId id : node->jobs) {
    const Job* job = state().FindJob(id);
    if (job == nullptr) continue;
    for (const Step& step : job->steps) {
      for (const StepNode& part : step.nodes) {
        if (part.node == name && part.state == StepState::kRunning)
          relays_->Grant(name, number, {id, job->attempt, step.number});
      }
    }
    relays_->Wake(id);
  }
}

}  // namespace slipway::scheduler
