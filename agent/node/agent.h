// SPDX-License-Identifier: Apache-2.0
// slipway-agent: one per node, without privilege. It joins the controller's stream, the broker, the image
// fetches, the steps and the peers; what each may ask of the other is decided in their own files.
//
// Loop's thread only. Destroying it leaves every step as it is; the next one finds them through the broker.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/health/health.h"
#include "agent/health/job_gate.h"
#include "agent/node/facts.h"
#include "agent/node/gpu_watch.h"
#include "agent/node/job_room.h"
#include "agent/node/node_gpus.h"
#include "api/tls.h"
#include "base/loop/loop.h"

namespace slipway {

class Config;

struct AgentOptions {
  std::string node;
  std::string controller;  // host:port
  std::string listen;      // host:port
  std::string address;     // for other nodes; empty: the port we listen on at the host of `listen`
  TlsFiles tls;
  std::string state_dir, broker_socket;
  std::uint64_t image_cache_bytes = 0;   // what all images may take; 0: half of state_dir's file system
  std::string token_socket, client_dir;  // empty: none
  bool private_shm = false;              // StepSpec's
  std::uint32_t folder_timeout_s = 30;   // StepSpec's
  std::uint64_t private_tmp_bytes = 0;   // StepSpec's
  JobRoomSettings room;
  std::chrono::seconds lease{0};  // of steps whose job asks for none; 0: they run on without the controller
  std::string boot_id;
  std::vector<std::string> allowed_devices;  // glob patterns: what every step may open beside the usual ones
  NodeFacts facts;
  NodeDevices devices;
  std::string task_prolog, task_epilog;  // programs of the site around each rank; empty: none
  GpuWatchOptions gpu_watch;
  std::function<void()> begin_anew{};  // what was found at the start is no longer so, and no step runs
  HealthOptions health;                // folders and node are filled in
  GateOptions gate;                    // so are node and state_dir
};
Result<AgentOptions> AgentOptionsOf(const Config& config);

class Agent {
 public:
  static Result<std::unique_ptr<Agent>> Start(Loop& loop, AgentOptions options);
  ~Agent();
  int peer_port() const;

 private:
  struct Parts;
  explicit Agent(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace slipway
