// SPDX-License-Identifier: Apache-2.0
// What an agent is made of and how its parts are wired: the links (agent.cc), the steps of jobs that pass
// through it (agent_steps.cc). For these files only.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "agent/images/images.h"
#include "agent/meter/step_meter.h"
#include "agent/node/agent.h"
#include "agent/node/call_thread.h"
#include "agent/node/controller_link.h"
#include "agent/node/peers.h"
#include "agent/node/step_relay.h"
#include "agent/steps/step_table.h"
#include "api/token_socket.h"
#include "launcher/client/broker_client.h"
#include "slipway/v1/node.pb.h"

namespace slipway {

struct Agent::Parts {
  Parts(Loop& loop, AgentOptions options) : loop(loop), options(std::move(options)) {}
  ~Parts();
  Result<> Start();

  void ConnectBroker();
  void OnWelcome(const BrokerWelcome& hello);
  void OnBrokerLost(const std::string& why);
  void ReadBroker();
  void OnStoreRead(const Result<std::vector<StoredImage>>& stored);
  void FillRegister(v1::FromNode& first);
  void OnControllerLost();
  void Beat();
  void OnMessage(const v1::ToNode& message);
  void OnRegistered(const v1::Registered& registered);
  void Launch(const v1::LaunchStep& launch);
  void EndJob(const v1::EndJob& end);
  void Prefetch(const v1::Prefetch& prefetch);
  void SendImageState(const ImageNews& news);
  Result<> StartImages();
  StepTableEvents TableEvents();
  void StartHealth();
  void SendCondition(const std::string& reason, bool keep);
  void OnBeatHeard(const v1::HeartbeatAck& ack);
  void Heard(std::uint64_t sent_boot_ms);

  Loop& loop;
  AgentOptions options;
  BrokerWelcome welcome;
  std::chrono::milliseconds broker_wait{0};
  std::string broker_error;
  std::set<StepId> stuck_steps;  // of which the broker said so
  Loop::TimerId broker_timer, heartbeat_timer;
  std::chrono::milliseconds heartbeat{5000};
  std::uint64_t beats = 0;
  WallTime beat_sent{};  // the last of them
  // On CLOCK_BOOTTIME, which a suspended machine does not stop: of that beat, and of our registration.
  std::uint64_t beat_sent_boot_ms = 0, register_sent_boot_ms = 0;
  std::string drain_reason;  // the controller may not have heard it yet
  std::uint64_t drained_at_beat = 0;
  MonotonicTime ends_repeated{}, store_read{};
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  // Destroyed from the last to the first: the table uses the broker and the peers, all use the link.
  CallThread calls;
  std::unique_ptr<ControllerLink> link;
  std::unique_ptr<PeerLinks> peers;
  std::shared_ptr<ImageOffers> offers = std::make_shared<ImageOffers>();
  std::unique_ptr<Images> images;
  std::unique_ptr<BrokerClient> broker;
  std::unique_ptr<StepMeter> meter;
  std::unique_ptr<StepTable> steps;
  std::unique_ptr<PeerServer> peer_server;
  std::unique_ptr<TokenSocket> tokens;
  std::unique_ptr<GpuWatch> gpus;
  std::unique_ptr<StepRelay> step_relay;
  std::unique_ptr<Health> health;
  std::unique_ptr<JobGate> gate;
};

}  // namespace slipway
