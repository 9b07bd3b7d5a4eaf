// SPDX-License-Identifier: Apache-2.0
// Reads a node's counters for the steps that run on it: energy when a step begins and ends and often enough
// in between that no counter goes round unseen, GPUs every second by a program beside us (NVML may hang, and
// we have threads). While nothing runs, nothing is read.
//
// Loop's thread only. A step that an agent before this one saw begin is metered from when this one found it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/meter/meter_book.h"
#include "agent/meter/node_energy.h"
#include "base/os/process.h"

namespace slipway {

struct MeterOptions {
  std::string host_root = "/";
  std::string gpu_program;           // slipway-gpu; empty: GPUs are not looked at
  std::vector<std::string> gpu_ids;  // UUIDs of this node's that NVML knows
  std::chrono::milliseconds gpu_every{1000};
  std::chrono::seconds energy_every{60};
};

class StepMeter {
 public:
  // Logs why energy is not counted, where it is not.
  static Result<std::unique_ptr<StepMeter>> Make(Loop& loop, MeterOptions options);
  ~StepMeter();
  StepMeter(const StepMeter&) = delete;
  StepMeter& operator=(const StepMeter&) = delete;

  void Began(const StepId& step, const std::vector<std::string>& gpus);
  // Nothing for one that never began.
  MeteredUse Ended(const StepId& step, std::uint64_t cpu_us);

 private:
  StepMeter(Loop& loop, MeterOptions options, HostTree host, HostTree counters);
  NodeCounters Read();
  void KeepReading();
  void WatchGpus();
  Result<> StartProgram();
  void OnLines();
  void EndProgram();

  Loop& loop_;
  MeterOptions options_;
  HostTree host_;
  NodeEnergy energy_;
  MeterBook book_;
  Loop::TimerId timer_;
  Process program_;
  UniqueFd lines_;
  Loop::WatchId watch_;
  std::string begun_line_;
  bool gpus_failed_ = false;  // said already; tried again when the next step with GPUs begins
};

}  // namespace slipway
