// SPDX-License-Identifier: Apache-2.0
#include "agent/node/job_room.h"

#include "base/text/units.h"
#include "launcher/spec/task_binding.h"

namespace slipway {

Result<> GiveRoom(const JobRoomSettings& site, std::uint64_t node_memory_bytes, const BrokerWelcome& broker,
                  LaunchPlan& plan) {
  StepSpec& spec = plan.spec;
  JobRoom room{site.tmp_bytes, site.shm_bytes};
  if (std::string_view wish = StepVariable(spec.env, kJobTmpVariable); !wish.empty()) {
    room.tmp_bytes = TRY_CONTEXT(ParseBytes(wish), "--tmp");
    std::uint64_t most = site.tmp_bytes_max != 0 ? site.tmp_bytes_max : node_memory_bytes / 2;
    if (room.tmp_bytes > most)
      return Fail(Code::kInvalidArgument, "--tmp ", FormatBytes(room.tmp_bytes), ": this node gives a job ",
                  FormatBytes(most), " at most (agent.job_tmp_max)");
  }
  if (broker.rootless) {
    if (room.tmp_bytes != 0) spec.private_tmp_bytes = room.tmp_bytes;
    if (room.shm_bytes != 0) spec.private_shm = true;
    return {};
  }
  plan.room = room;
  std::string folder = JobFolder(broker.run_dir, spec.step);
  if (room.tmp_bytes != 0) spec.job_tmp = folder + kJobTmp;
  if (room.shm_bytes != 0) spec.job_shm = folder + kJobShm;
  return {};
}

}  // namespace slipway
