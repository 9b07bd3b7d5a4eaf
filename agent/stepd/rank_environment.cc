// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/rank_environment.h"

#include <algorithm>
#include <string_view>

#include "base/text/hostlist.h"

namespace slipway {
namespace {

// Left over from an MPI job or a workload manager that the submitter was inside of.
bool IsStale(std::string_view entry) {
  for (std::string_view prefix : {"PMIX_MCA_", "SLURM_ARRAY_"}) {
    if (entry.starts_with(prefix)) return false;
  }
  for (std::string_view prefix : {"PMIX_", "PMI_", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_SIZE", "ORTE_", "PRTE_",
                                  "SLURM_JOBID=", "SLURM_NODELIST=", "SLURM_STEP_", "SLURM_STEPID=",
                                  "SLURM_PROCID=", "SLURM_LOCALID=", "SLURM_NODEID=", "SLIPWAY_TERMINAL="}) {
    if (entry.starts_with(prefix)) return true;
  }
  return false;
}

class Variables {
 public:
  explicit Variables(std::vector<std::string>& env) : env_(env) {}
  template <class Value>
  void Set(std::string_view name, const Value& value) {
    std::erase_if(env_, [&](const std::string& entry) {
      return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
    });
    env_.push_back(Cat(name, "=", value));
  }
  template <class Value>
  void Default(std::string_view name, const Value& value) {
    if (!HasVariable(env_, name)) env_.push_back(Cat(name, "=", value));
  }
  // Both spellings. In a batch step what the job as a whole has is in the environment already; the step is
  // one rank.
  template <class Value>
  void Both(bool keep, std::string_view ours, std::string_view slurm, const Value& value) {
    if (keep) {
      Default(Cat("SLIPWAY_", ours), value);
      Default(Cat("SLURM_", slurm), value);
    } else {
      Set(Cat("SLIPWAY_", ours), value);
      Set(Cat("SLURM_", slurm), value);
    }
  }

 private:
  std::vector<std::string>& env_;
};

std::string TasksPerNode(const std::vector<std::uint32_t>& counts) {  // "2(x3),1", Slurm's form
  std::string text;
  for (std::size_t i = 0; i < counts.size();) {
    std::size_t same = i;
    while (same < counts.size() && counts[same] == counts[i]) ++same;
    text += Cat(text.empty() ? "" : ",", counts[i]);
    if (same - i > 1) text += Cat("(x", same - i, ")");
    i = same;
  }
  return text;
}

std::size_t RankCount(const StepSpec& spec) {
  std::size_t count = 0;
  for (const auto& ranks : spec.ranks) count += ranks.size();
  return count;
}

}  // namespace

bool HasVariable(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& entry) {
    return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
  });
}

std::vector<std::string> StepEnvironment(const StepSpec& spec) {
  std::vector<std::string> env;
  for (const std::string& entry : spec.env) {
    if (!IsStale(entry)) env.push_back(entry);
  }
  Variables variables(env);
  variables.Default("HOME", spec.home);
  variables.Default("USER", spec.user);
  variables.Default("LOGNAME", spec.user);
  variables.Default("SHELL", spec.shell.empty() ? "/bin/sh" : spec.shell);
  bool batch = spec.step.step == kBatchStep;
  std::string nodes = CompressHostlist(spec.nodes);
  variables.Both(false, "JOB_ID", "JOB_ID", spec.step.job);
  variables.Set("SLIPWAY_ATTEMPT", spec.step.attempt);
  variables.Set("SLIPWAY_STEP", batch ? std::string("batch") : std::to_string(spec.step.step));
  variables.Both(false, "CLUSTER", "CLUSTER_NAME", spec.cluster);
  variables.Both(false, "JOB_NAME", "JOB_NAME", spec.job_name);
  variables.Both(batch, "NTASKS", "NTASKS", RankCount(spec));
  variables.Both(batch, "NNODES", "JOB_NUM_NODES", spec.nodes.size());
  variables.Both(batch, "NODELIST", "JOB_NODELIST", nodes);
  variables.Both(batch, "TASKS_PER_NODE", "TASKS_PER_NODE", TasksPerNode(spec.tasks_per_node));
  variables.Both(batch, "CPUS_PER_TASK", "CPUS_PER_TASK", spec.cores_per_task);
  variables.Both(true, "SUBMIT_DIR", "SUBMIT_DIR", spec.cwd);
  variables.Set("SLIPWAY_NODE", spec.nodes[spec.node_index]);
  variables.Set("SLURMD_NODENAME", spec.nodes[spec.node_index]);
  if (!spec.cpus.empty()) variables.Set("SLURM_CPUS_ON_NODE", spec.cpus.size());
  variables.Set("SLIPWAY_IMAGE", spec.image_digest);
  // A second one adds to the first: the user may have said it, too.
  if (!spec.client_dir.empty()) env.push_back(Cat("SLIPWAYENV_APPEND_PATH=", kClientTarget, "/bin"));
  return env;
}

std::vector<std::string> RankEnvironment(const StepSpec& spec, std::uint32_t local_rank) {
  std::vector<std::string> env;
  Variables variables(env);
  variables.Both(false, "RANK", "PROCID", spec.ranks[spec.node_index][local_rank]);
  variables.Both(false, "LOCAL_RANK", "LOCALID", local_rank);
  variables.Both(false, "NODE_INDEX", "NODEID", spec.node_index);
  return env;
}

std::vector<std::string> SpawnedEnvironment(const StepSpec& spec, const SpawnedWorld& world,
                                            std::uint32_t rank) {
  const auto& here = world.ranks[spec.node_index];
  std::size_t size = 0;
  for (const auto& ranks : world.ranks) size += ranks.size();
  std::vector<std::string> env;
  Variables variables(env);
  variables.Both(false, "RANK", "PROCID", rank);
  variables.Both(false, "LOCAL_RANK", "LOCALID", std::find(here.begin(), here.end(), rank) - here.begin());
  variables.Both(false, "NODE_INDEX", "NODEID", spec.node_index);
  variables.Both(false, "NTASKS", "NTASKS", size);
  return env;
}

}  // namespace slipway
