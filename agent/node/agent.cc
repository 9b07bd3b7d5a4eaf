// SPDX-License-Identifier: Apache-2.0
#include "agent/node/agent.h"

#include <grpcpp/channel.h>
#include <grpcpp/impl/service_type.h>
#include <malloc.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "agent/node/agent_parts.h"
#include "agent/node/convert.h"
#include "agent/node/last_heard.h"
#include "agent/steps/user_word.h"
#include "api/context.h"
#include "base/log/log.h"
#include "base/os/process_name.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kBrokerFirstWait{100}, kBrokerLongestWait{5000};
constexpr std::chrono::seconds kRepeatEndsAfter{30};
// Users import into the store without us.
constexpr std::chrono::seconds kReadStoreAfter{60};
constexpr std::uint32_t kProtocol = 1;

// "0.0.0.0:0" and port 6822 → "0.0.0.0:6822".
std::string WithPort(const std::string& listen, int port) {
  return Cat(listen.substr(0, listen.rfind(':')), ":", port);
}

}  // namespace

Agent::Agent(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Agent::~Agent() = default;
int Agent::peer_port() const { return parts_->peer_server->port(); }

Agent::Parts::~Parts() {
  *alive = false;
  loop.Cancel(broker_timer);
  loop.Cancel(heartbeat_timer);
  if (steps) steps->SetBroker(nullptr, {});
  if (images) images->SetBroker(nullptr);
}

Result<std::unique_ptr<Agent>> Agent::Start(Loop& loop, AgentOptions options) {
  auto parts = std::make_unique<Parts>(loop, std::move(options));
  TRY(parts->Start());
  return std::unique_ptr<Agent>(new Agent(std::move(parts)));
}

Result<> Agent::Parts::Start() {
  TRY(MakeDirectories(options.state_dir, 0700));
  ControllerLink::Events events;
  events.opening = [this](v1::FromNode& first) { FillRegister(first); };
  events.message = [this](const v1::ToNode& message) { OnMessage(message); };
  events.lost = [this] { OnControllerLost(); };
  link = TRY(ControllerLink::Make(loop, calls, options.controller, options.tls, std::move(events)));
  peers = std::make_unique<PeerLinks>(
      loop, options.tls, PeerLinks::Limits{},
      [this](const std::string& node, const std::string& reason) { steps->PeerLost(node, reason); });
  TRY(StartImages());
  meter = TRY(StepMeter::Make(loop, {.host_root = options.devices.host_root,
                                     .gpu_program = GpuProgram(options.gpu_watch.program),
                                     .gpu_ids = NvmlIdsOf(options.devices)}));
  steps = std::make_unique<StepTable>(loop, options.state_dir, TableEvents());
  steps->SetNode(options.node);
  peer_server = TRY(PeerServer::Start(
      loop, options.listen, options.tls,
      [this](const StepId& step, std::uint32_t, PeerWord word) { steps->FromPeer(step, std::move(word)); },
      MakeImagePeerService(offers)));
  if (options.address.empty()) options.address = WithPort(options.listen, peer_server->port());
  if (!options.token_socket.empty()) {
    tokens = TRY(TokenSocket::Listen(
        loop, options.token_socket, [this](const PeerIdentity& who, TokenSocket::Reply reply) {
          if (who.uid == 0) return reply(Fail(Code::kPermissionDenied, "a node does not vouch for root"));
          link->Vouch(who.uid, std::move(reply));
        }));
    step_relay = TRY(StepRelay::Listen(calls, StepSocketBeside(options.token_socket), link->channel()));
  }
  StartHealth();
  steps->SetHeard(ReadLastHeard(options.state_dir, options.boot_id));
  ConnectBroker();
  return {};
}

Result<> Agent::Parts::StartImages() {
  std::string folder = options.state_dir + "/images";
  TRY(MakeDirectories(folder, 0700));
  std::uint64_t bytes_max = options.image_cache_bytes;
  struct statvfs disk;
  if (bytes_max == 0) {
    if (::statvfs(folder.c_str(), &disk) < 0) return ErrnoFail("statvfs", folder);
    bytes_max = std::uint64_t{disk.f_blocks} * disk.f_frsize / 2;
  }
  FetchSources sources{link->channel(),
                       [files = options.tls](const std::string& node, const std::string& address) {
                         return DialTls(address, files, NodeTlsName(node));
                       },
                       offers};
  images = std::make_unique<Images>(
      loop, folder, bytes_max, offers,
      [sources](const FetchRequirements& wanted, FetchCancel& cancel) {
        return FetchImage(sources, wanted, cancel);
      },
      [this](const ImageNews& news) { SendImageState(news); });
  return {};
}

// ---- the broker

void Agent::Parts::ConnectBroker() {
  auto connected = BrokerClient::Connect(loop, options.broker_socket);
  if (!connected) return OnBrokerLost(connected.error().message);
  broker = std::move(*connected);
  BrokerClient::Events events;
  events.welcome = [this](const BrokerWelcome& hello) { OnWelcome(hello); };
  events.step_gone = [this](const StepGone& gone) {
    stuck_steps.erase(gone.step);
    health->SetComplaint(ToString(gone.step), {});
    steps->OnGone(gone);
  };
  events.step_stuck = [this](const StepGone& stuck) {
    stuck_steps.insert(stuck.step);
    health->SetComplaint(ToString(stuck.step),
                         {Cat("step ", ToString(stuck.step), ": ", OneLine(stuck.reason))});
  };
  events.lost = [this](const Error& error) { OnBrokerLost(error.message); };
  broker->SetEvents(std::move(events));
}

void Agent::Parts::OnBrokerLost(const std::string& why) {
  if (why != broker_error) Log(Level::kWarn, "no connection to the broker", {{"error", why}});
  broker_error = why;
  steps->SetBroker(nullptr, {});
  images->SetBroker(nullptr);
  broker_wait = std::clamp(broker_wait * 2, kBrokerFirstWait, kBrokerLongestWait);
  // A restart of it is over sooner.
  if (broker_wait == kBrokerLongestWait)
    health->SetComplaint("broker", {Cat("no connection to the broker: ", why)});
  broker_timer = loop.After(broker_wait, [this] { ConnectBroker(); });
}

void Agent::Parts::OnWelcome(const BrokerWelcome& hello) {
  welcome = hello;
  for (const std::string& limit : welcome.cannot)
    Log(Level::kWarn, "this node cannot hold a limit", {{"what", limit}});
  if (welcome.node != options.node) {
    // Credentials name the node: nothing would ever start.
    Log(Level::kError, "the broker is another node's", {{"broker", welcome.node}, {"agent", options.node}});
  }
  health->AlsoLookAt(welcome.image_dir);
  ReadBroker();
}

void Agent::Parts::OnStoreRead(const Result<std::vector<StoredImage>>& stored) {
  if (broker->lost()) return;  // which says nothing of the store
  if (stored) images->SetHeld(*stored);
  std::vector<std::string> complaints;
  if (!stored) complaints.push_back(Cat("image store: ", stored.error().message));
  health->SetComplaint("image store", std::move(complaints));
}

// What the broker has is what there is; only then may the controller be told. A store that cannot be read has
// no image to start a step from, and steps that run on all the same.
void Agent::Parts::ReadBroker() {
  store_read = loop.Now();
  broker->ListImages([this](Result<std::vector<StoredImage>> stored) {
    OnStoreRead(stored);
    broker->ListSteps([this](Result<std::vector<StepRecord>> list) {
      if (!list) return Log(Level::kError, "the broker's steps", {{"error", list.error().message}});
      broker_wait = std::chrono::milliseconds(0);
      broker_error.clear();
      health->SetComplaint("broker", {});
      std::set<StepId> no_longer = std::exchange(stuck_steps, {});
      for (const StepRecord& record : *list) {
        if (!record.running) continue;
        gate->Found(record.step);
        if (no_longer.erase(record.step) > 0) stuck_steps.insert(record.step);
      }
      for (const StepId& step : no_longer) health->SetComplaint(ToString(step), {});  // it went unheard
      Log(Level::kInfo, "connected to the broker", {{"steps", list->size()}});
      images->SetBroker(broker.get());
      steps->SetBroker(broker.get(), welcome.run_dir);
      steps->Reconcile(*list);
      link->Open();
    });
  });
}

// ---- the controller

void Agent::Parts::FillRegister(v1::FromNode& first) {
  register_sent_boot_ms = BootMilliseconds();
  v1::Register& registration = *first.mutable_register_();
  registration.set_node(options.node);
  registration.set_boot_id(options.boot_id);
  registration.set_protocol(kProtocol);
  registration.set_reads_more(true);
  v1::Node& facts = *registration.mutable_facts();
  facts = ToProto(options.facts);
  AddGpuUnits(options.devices, facts);
  facts.set_name(options.node);
  facts.set_address(options.address);
  facts.set_boot_id(options.boot_id);
  facts.set_version(SLIPWAY_VERSION);
  for (const std::string& digest : images->held()) facts.add_images(digest);
  for (const std::string& limit : welcome.cannot) facts.add_cannot(limit);
  for (const StepNews& news : steps->Reports()) *registration.add_steps() = ToProto(news);
}

void Agent::Parts::OnControllerLost() {
  loop.Cancel(heartbeat_timer);
  gate->DropHeld();  // credit is of one stream
  steps->SetConnected(false);
}

void Agent::Parts::Beat() {
  v1::FromNode message;
  message.mutable_heartbeat()->set_sequence(++beats);
  beat_sent = loop.WallNow();
  beat_sent_boot_ms = BootMilliseconds();
  link->Send(std::move(message));
  if (loop.Now() - ends_repeated >= kRepeatEndsAfter) {
    ends_repeated = loop.Now();
    steps->RepeatEnds();
  }
  if (broker && loop.Now() - store_read >= kReadStoreAfter) {
    store_read = loop.Now();  // asked for, whenever the answer comes: not again at each beat
    // What fetches and gRPC's threads took and gave back would stay with us as long as we live.
    ::malloc_trim(0);
    broker->ListImages([this](const Result<std::vector<StoredImage>>& stored) { OnStoreRead(stored); });
  }
  images->Trim();
  heartbeat_timer = loop.After(heartbeat, [this] { Beat(); });
}

void Agent::Parts::OnRegistered(const v1::Registered& registered) {
  heartbeat = std::chrono::milliseconds(std::clamp(registered.heartbeat_interval_ms(), 100U, 600000U));
  Log(Level::kInfo, "registered with the controller", {{"cluster", registered.cluster()}});
  Heard(register_sent_boot_ms);
  ends_repeated = loop.Now();
  loop.Cancel(heartbeat_timer);
  heartbeat_timer = loop.After(heartbeat, [this] { Beat(); });
  steps->SetConnected(true);
  if (health->known() || !health->reason().empty()) SendCondition(health->reason(), false);
  if (!drain_reason.empty()) SendCondition(drain_reason, true);
}

void Agent::Parts::OnBeatHeard(const v1::HeartbeatAck& ack) {
  if (ack.sequence() != beats) return;
  Heard(beat_sent_boot_ms);
  if (ack.sequence() > drained_at_beat) drain_reason.clear();
  auto between = beat_sent + (loop.WallNow() - beat_sent) / 2;
  auto here = std::chrono::duration_cast<std::chrono::milliseconds>(between.time_since_epoch()).count();
  health->SetClockAhead(here - ack.time_ms());
}

// Written down first: an agent that is started anew may renew a lease by it, and by nothing later.
void Agent::Parts::Heard(std::uint64_t sent_boot_ms) {
  if (steps->any_leased()) WriteLastHeard(options.state_dir, options.boot_id, sent_boot_ms);
  steps->SetHeard(sent_boot_ms);
}

void Agent::Parts::OnMessage(const v1::ToNode& message) {
  switch (message.body_case()) {
    case v1::ToNode::kRegistered:
      return OnRegistered(message.registered());
    case v1::ToNode::kLaunch:
      return Launch(message.launch());
    case v1::ToNode::kKill:
      gate->Drop(FromProto(message.kill()));
      return steps->Kill(FromProto(message.kill()), "CANCELLED");
    case v1::ToNode::kSignal:
      if (message.signal().before_limit())
        return steps->SignalBeforeLimit(FromProto(message.signal().step()),
                                        {message.signal().signal(), message.signal().rank_alone()});
      return steps->Signal(FromProto(message.signal().step()), message.signal().signal());
    case v1::ToNode::kSuspend:
      return steps->Suspend(FromProto(message.suspend().step()), message.suspend().suspended());
    case v1::ToNode::kWarn:
      steps->Signal(FromProto(message.warn()), SIGCONT);
      return steps->Signal(FromProto(message.warn()), SIGTERM);
    case v1::ToNode::kEndJob:
      return EndJob(message.end_job());
    case v1::ToNode::kPrefetch:
      return Prefetch(message.prefetch());
    case v1::ToNode::kInput: {
      const v1::StepInput& in = message.input();
      auto give = [this, in] { steps->Input(FromProto(in.step()), StdinOf(in)); };
      return gate->Hold(FromProto(in.step()), give) ? void() : give();
    }
    case v1::ToNode::kAck:
      return steps->Acknowledge(FromProto(message.ack().step()), message.ack().sequence());
    case v1::ToNode::kCredit: {
      auto give = [this, step = FromProto(message.credit().step()), bytes = message.credit().bytes()] {
        steps->Credit(step, bytes);
      };
      return gate->Hold(FromProto(message.credit().step()), give) ? void() : give();
    }
    case v1::ToNode::kDropImage:
      return images->Drop(message.drop_image().digest());
    case v1::ToNode::kHeartbeatAck:
      return OnBeatHeard(message.heartbeat_ack());
    case v1::ToNode::BODY_NOT_SET:
      return;  // of a newer controller
  }
}

// ---- the node itself

void Agent::Parts::StartHealth() {
  options.health.node = options.gate.node = options.node;
  options.gate.state_dir = options.state_dir;
  options.gate.boot_id = options.boot_id;
  options.health.folders = {options.state_dir,
                            options.broker_socket.substr(0, options.broker_socket.rfind('/')), "/tmp"};
  auto idle = [this] { return steps->size() == 0; };
  gpus = std::make_unique<GpuWatch>(loop, options.devices, options.gpu_watch, idle, [this] {
    Log(Level::kWarn, "the GPUs of this node are others than before: they are found anew");
    if (options.begin_anew) options.begin_anew();
  });
  health = std::make_unique<Health>(loop, options.health,
                                    Health::Events{[this](const std::string& reason) {
                                                     if (health->known() || !reason.empty())
                                                       SendCondition(reason, false);
                                                   },
                                                   idle, [this] { return gpus->Findings(); }});
  gate = std::make_unique<JobGate>(loop, options.gate,
                                   JobGate::Events{[this](std::function<void(const std::string&)> done) {
                                                     health->LookForJob(std::move(done));
                                                   },
                                                   [this](const StepId& step, const std::string& reason) {
                                                     steps->Refuse(step, reason, StepNews::kNodeUnfit);
                                                   },
                                                   [this](const std::string& reason) {
                                                     drain_reason = reason;
                                                     drained_at_beat = beats;
                                                     SendCondition(reason, true);
                                                   }});
  health->Start();
}

void Agent::Parts::SendCondition(const std::string& reason, bool keep) {
  v1::FromNode message;
  message.mutable_condition()->set_reason(reason);
  message.mutable_condition()->set_keep(keep);
  link->Send(std::move(message));
}

}  // namespace slipway
