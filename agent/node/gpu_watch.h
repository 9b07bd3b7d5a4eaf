// SPDX-License-Identifier: Apache-2.0
// GPUs fail while the agent runs, and are divided anew by an administrator: looked after from the kernel's
// files at every look, from its log where that may be read, and now and then by the driver's own library,
// which a program beside us asks (it may hang, and we have threads).
//
// Loop's thread only.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/health/kernel_log.h"
#include "agent/health/site_program.h"
#include "agent/node/node_gpus.h"
#include "base/loop/loop.h"
#include "hooks/gpu/xid.h"

namespace slipway {

struct GpuWatchOptions {
  std::string kernel_log = "/dev/kmsg";
  int kernel_log_given = -1;  // what may be the same device, opened by somebody who may
  std::string program;        // slipway-gpu; empty: beside this program, or in ../libexec/slipway
  std::chrono::seconds ask_every{300}, deadline{30};  // ask_every 0: never
};

// What `slipway-gpu list --json` says is wrong, one sentence each. kInvalidArgument: it is not its answer.
Result<std::vector<std::string>> FaultsIn(std::string_view json);

// Where slipway-gpu is: `asked`, or beside this program, or in ../libexec/slipway; empty: nowhere.
std::string GpuProgram(const std::string& asked);

class GpuWatch {
 public:
  // `devices` is borrowed. `changed`: GPUs or their driver are not those of `devices` any more, and nothing
  // runs here (`idle`): they can be found anew. At most once.
  GpuWatch(Loop& loop, const NodeDevices& devices, GpuWatchOptions options, std::function<bool()> idle,
           std::function<void()> changed);
  ~GpuWatch();

  // One sentence for each thing that is wrong now.
  std::vector<std::string> Findings();

 private:
  void Ask();

  Loop& loop_;
  const NodeDevices& devices_;
  GpuWatchOptions options_;
  std::function<bool()> idle_;
  std::function<void()> changed_;
  bool told_ = false;
  std::optional<KernelLog> log_;
  XidList xids_;
  std::vector<std::string> faults_;  // of the last answer
  std::string complaint_;            // logged already
  SitePrograms programs_;
  Loop::TimerId timer_;
};

}  // namespace slipway
