// SPDX-License-Identifier: Apache-2.0
// What the agent is told about a step, free of protobuf; and the part of it that must outlive the agent's own
// process, because the next agent goes on carrying the step's exchange and output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// Kept in STATE_DIR/steps/<JOB.ATTEMPT.STEP> from before the broker is asked until the step is forgotten.
// Nothing of the user's secrets (environment, script) is in it.
struct KnownStep {
  std::uint32_t version = 3;
  StepId step;
  std::vector<std::string> nodes, addresses;  // of the step's nodes: names and host:port of their agents
  std::uint32_t node_index = 0;
  std::vector<std::uint32_t> ranks;    // ours
  bool exchanges = false;              // it is an MPI step on several nodes
  bool streams = false;                // its output goes to the controller, under its credit
  std::uint32_t lease_s = 0;           // it ends when no heartbeat of so long was answered; 0: it does not
  std::vector<std::string> gpus;       // UUIDs of those that it can open
  std::vector<std::string> libraries;  // file names of the host's that its container was given
  // Where the job's steps meet: the batch step's node, and of the batch step all the others behind it.
  std::vector<std::string> job_nodes, job_addresses;
};
void Fields(auto& archive, IsA<KnownStep> auto& v) {
  archive(v.version, v.step, v.nodes, v.addresses, v.node_index, v.ranks, v.exchanges, v.streams, v.lease_s,
          v.gpus, v.libraries, v.job_nodes, v.job_addresses);
}

struct LaunchPlan {
  StepSpec spec;
  SignedCredential credential;  // passed on to the broker unchanged
  StepDevices devices;          // that the ranks may open
  JobRoom room;                 // of its job here
  std::vector<std::string> addresses;
  std::vector<std::string> job_nodes, job_addresses;  // KnownStep's
  std::uint64_t image_bytes = 0;
  bool stream_output = false;
  std::uint32_t lease_s = 0;                 // KnownStep's
  std::vector<std::string> gpus, libraries;  // likewise
};

KnownStep KnownOf(const LaunchPlan& plan);

// The files of all known steps; a file that cannot be read is removed and its step goes on without exchange.
class KnownSteps {
 public:
  explicit KnownSteps(std::string state_dir) : folder_(std::move(state_dir) + "/steps") {}
  // Not synced: what a power cut loses here, it has ended on this node too.
  Result<> Write(const KnownStep& step) const;
  Result<KnownStep> Read(const StepId& step) const;
  void Remove(const StepId& step) const;
  // It was written before `file`, another one of this host, came to be; not when either is not there.
  bool OlderThan(const StepId& step, const std::string& file) const;

 private:
  std::string PathOf(const StepId& step) const { return Cat(folder_, "/", ToString(step)); }
  std::string folder_;
};

}  // namespace slipway
