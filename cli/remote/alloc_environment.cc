// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/alloc_environment.h"

#include <algorithm>

#include "base/result/result.h"
#include "base/text/hostlist.h"

namespace slipway::cli {

std::vector<std::string> AllocEnvironment(const v1::Job& job, const std::string& context,
                                          const std::string& caller) {
  std::vector<std::string> env = {Cat(kHeldHereVariable, "=", caller)};
  auto both = [&](const char* ours, const char* slurms, const auto& value) {
    env.push_back(Cat("SLIPWAY_", ours, "=", value));
    env.push_back(Cat("SLURM_", slurms, "=", value));
  };
  std::string nodes = CompressHostlist(std::vector<std::string>(job.nodes().begin(), job.nodes().end()));
  both("JOB_ID", "JOB_ID", job.job_id());
  both("JOB_NAME", "JOB_NAME", job.name());
  both("NODELIST", "JOB_NODELIST", nodes);
  both("NNODES", "JOB_NUM_NODES", job.nodes_size());
  both("NTASKS", "NTASKS", std::max(job.resources().tasks(), 1U));
  both("CPUS_PER_TASK", "CPUS_PER_TASK", std::max(job.resources().cores_per_task(), 1U));
  both("SUBMIT_DIR", "SUBMIT_DIR", job.cwd());
  both("CLUSTER", "CLUSTER_NAME", context);
  env.push_back(Cat("SLURM_JOBID=", job.job_id()));
  env.push_back(Cat("SLURM_NODELIST=", nodes));
  env.push_back(Cat("SLURM_NNODES=", job.nodes_size()));
  env.push_back(Cat("SLURM_NPROCS=", std::max(job.resources().tasks(), 1U)));
  if (!job.resources().partition().empty())
    env.push_back(Cat("SLURM_JOB_PARTITION=", job.resources().partition()));
  if (!job.account().empty()) env.push_back(Cat("SLURM_JOB_ACCOUNT=", job.account()));
  if (!job.qos().empty()) env.push_back(Cat("SLURM_JOB_QOS=", job.qos()));
  return env;
}

}  // namespace slipway::cli
