// SPDX-License-Identifier: Apache-2.0
// What a job asks of the site beside cores and memory: partition, features, GPUs, generic resources,
// licences, account, QOS. The words are Slurm's.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

std::vector<Option> SiteOptions();
// --distribution has two halves: how ranks are dealt to nodes and inside of them
// (launcher/spec/task_binding.h) and how many nodes are taken, "pack", "nopack" or nothing.
struct Distributed {
  std::string of_ranks, of_nodes;
};
Distributed DistributionOf(const Parsed& options);
// Nodes and tasks must have been read: --gpus, the sum, is dealt out over them. kInvalidArgument names the
// option.
Result<> ReadSiteResources(const Parsed& options, v1::Resources& resources);
Result<> ReadSiteJob(const Parsed& options, v1::JobSpec& spec);

}  // namespace slipway::cli
