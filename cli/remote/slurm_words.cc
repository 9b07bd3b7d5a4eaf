// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/slurm_words.h"

#include <algorithm>
#include <string_view>

#include "base/text/text.h"

namespace slipway::cli {
namespace {

constexpr std::uint8_t kS = 1, kR = 2, kBoth = 3;  // sbatch, srun

struct Word {
  const char* name;
  char letter;
  Option::Type type;
  std::uint8_t of;
  const char* instead;  // null: it means nothing here
};

constexpr const char *kNodesAre = "choose nodes by --constraint or --nodelist",
                     *kSitePrograms =
                         "prologs and epilogs are the site's (docs/node-life.md); do it in the script",
                     *kInImage = "the program is in the image: nothing has to be copied",
                     *kClocks = "processors and GPUs run as the site has set them";

constexpr Word kWords[] = {
    {"oversubscribe", 's', Option::kMaybe, kBoth, nullptr},  // nodes are shared unless --exclusive
    {"share", 0, Option::kFlag, kBoth, nullptr},
    {"verbose", 'v', Option::kCount, kBoth, nullptr},
    {"unbuffered", 'u', Option::kFlag, kR, nullptr},  // output travels as it is written
    {"overlap", 0, Option::kFlag, kR, nullptr},       // steps of a job share what it has
    {"exact", 0, Option::kFlag, kR, nullptr},         // a step is bound to as much as it asks for
    {"whole", 0, Option::kFlag, kR, nullptr},
    {"disable-status", 'X', Option::kFlag, kR, nullptr},  // Ctrl-C is passed on at once
    {"preserve-env", 'E', Option::kFlag, kR, nullptr},
    {"threads", 'T', Option::kString, kR, nullptr},
    {"slurmd-debug", 0, Option::kString, kR, nullptr},
    {"msg-timeout", 0, Option::kString, kR, nullptr},
    {"treewidth", 0, Option::kString, kR, nullptr},
    {"resv-ports", 0, Option::kMaybe, kR, nullptr},
    {"no-kill", 'k', Option::kMaybe, kBoth, nullptr},  // a lost node ends the step; see the page
    {"get-user-env", 0, Option::kMaybe, kS, nullptr},  // the environment is that of the submission
    {"ignore-pbs", 0, Option::kFlag, kS, nullptr},
    {"wait-all-nodes", 0, Option::kString, kBoth, nullptr},  // each node is ready when it is given
    {"profile", 0, Option::kString, kBoth, nullptr},         // what steps used is kept anyway
    {"acctg-freq", 0, Option::kString, kBoth, nullptr},
    {"wckey", 0, Option::kString, kBoth, nullptr},
    {"delay-boot", 0, Option::kString, kBoth, nullptr},
    {"extra", 0, Option::kString, kBoth, nullptr},
    {"bcast", 0, Option::kMaybe, kR, kInImage},
    {"bcast-exclude", 0, Option::kMaybe, kR, kInImage},
    {"send-libs", 0, Option::kMaybe, kR, kInImage},
    {"compress", 0, Option::kMaybe, kR, kInImage},
    {"container", 0, Option::kString, kBoth, "--image"},
    {"container-id", 0, Option::kString, kBoth, "--image"},
    {"clusters", 'M', Option::kString, kBoth, "--context says which cluster is meant"},
    {"cluster-constraint", 0, Option::kString, kBoth, "--context says which cluster is meant"},
    {"overcommit", 'O', Option::kFlag, kBoth, "each rank has cores of its own; ask for fewer ranks"},
    {"core-spec", 'S', Option::kString, kBoth, "what nodes keep for themselves is the site's to set"},
    {"thread-spec", 0, Option::kString, kBoth, "what nodes keep for themselves is the site's to set"},
    {"extra-node-info", 'B', Option::kString, kBoth, kNodesAre},
    {"sockets-per-node", 0, Option::kString, kBoth, kNodesAre},
    {"cores-per-socket", 0, Option::kString, kBoth, kNodesAre},
    {"gpus-per-socket", 0, Option::kString, kBoth, "--gpus-per-node"},
    {"ntasks-per-socket", 0, Option::kString, kBoth,
     "--ntasks-per-node, with --distribution=block:cyclic to deal ranks out over the sockets"},
    {"gres-flags", 0, Option::kString, kBoth, "GPUs are given by number"},
    {"tres-bind", 0, Option::kString, kBoth, "--gpus-per-task gives each rank GPUs of its own"},
    {"tres-per-task", 0, Option::kString, kBoth, "--cpus-per-task and --gpus-per-task"},
    {"accel-bind", 0, Option::kString, kR, "--gpus-per-task gives each rank GPUs of its own"},
    {"cpu-freq", 0, Option::kString, kBoth, kClocks},
    {"gpu-freq", 0, Option::kString, kBoth, kClocks},
    {"power", 0, Option::kString, kBoth, kClocks},
    {"prefer", 0, Option::kString, kBoth, "--constraint"},
    {"batch", 0, Option::kString, kS, "the script runs on the job's first node; --constraint is for all"},
    {"bb", 0, Option::kString, kBoth, "there are no burst buffers; stage in the script"},
    {"bbf", 0, Option::kString, kBoth, "there are no burst buffers; stage in the script"},
    {"export-file", 0, Option::kString, kBoth, "--export=NAME=VALUE,…"},
    {"mcs-label", 0, Option::kString, kBoth, "--exclusive keeps others off the nodes"},
    {"network", 0, Option::kString, kBoth, "--switches and --contiguous say how near nodes are to be"},
    {"reboot", 0, Option::kFlag, kBoth, "an administrator reboots nodes"},
    {"uid", 0, Option::kString, kBoth, "submit as that user"},
    {"gid", 0, Option::kString, kBoth, "submit with that group (newgrp)"},
    {"kill-on-invalid-dep", 0, Option::kString, kS,
     "a job whose dependency cannot be met any more waits; cancel it"},
    {"multi-prog", 0, Option::kFlag, kR,
     "let the program look at SLURM_PROCID, or submit components (A : B)"},
    {"relative", 'r', Option::kString, kR, "--nodelist"},
    {"no-allocate", 'Z', Option::kFlag, kR, "slipway exec runs containers without a job"},
    {"prolog", 0, Option::kString, kR, kSitePrograms},
    {"epilog", 0, Option::kString, kR, kSitePrograms},
    {"task-prolog", 0, Option::kString, kR, kSitePrograms},
    {"task-epilog", 0, Option::kString, kR, kSitePrograms},
};

std::uint8_t MaskOf(SlurmCommand command) { return command == SlurmCommand::kSbatch ? kS : kR; }

struct Variable {
  const char *option, *sbatch, *srun;  // behind SBATCH_ and SLURM_; null: none
};
constexpr Variable kVariables[] = {
    {"account", "ACCOUNT", "ACCOUNT"},
    {"array", "ARRAY_INX", nullptr},
    {"chdir", nullptr, "WORKING_DIR"},
    {"comment", "COMMENT", "COMMENT"},
    {"constraint", "CONSTRAINT", "CONSTRAINT"},
    {"cpu-bind", nullptr, "CPU_BIND"},
    {"cpus-per-gpu", "CPUS_PER_GPU", "CPUS_PER_GPU"},
    {"dependency", nullptr, "DEPENDENCY"},
    {"distribution", "DISTRIBUTION", "DISTRIBUTION"},
    {"error", "ERROR", "STDERRMODE"},
    {"exclusive", "EXCLUSIVE", "EXCLUSIVE"},
    {"export", "EXPORT", "EXPORT_ENV"},
    {"gpus", "GPUS", "GPUS"},
    {"gpus-per-node", "GPUS_PER_NODE", "GPUS_PER_NODE"},
    {"gpus-per-task", "GPUS_PER_TASK", "GPUS_PER_TASK"},
    {"gres", "GRES", "GRES"},
    {"hint", "HINT", "HINT"},
    {"immediate", nullptr, "IMMEDIATE"},
    {"input", "INPUT", "STDINMODE"},
    {"job-name", "JOB_NAME", nullptr},  // SLURM_JOB_NAME is the job's own inside of it
    {"label", nullptr, "LABELIO"},
    {"mem", "MEM_PER_NODE", "MEM_PER_NODE"},
    {"mem-bind", "MEM_BIND", "MEM_BIND"},
    {"mem-per-cpu", "MEM_PER_CPU", "MEM_PER_CPU"},
    {"mem-per-gpu", "MEM_PER_GPU", "MEM_PER_GPU"},
    {"mpi", nullptr, "MPI_TYPE"},
    {"no-requeue", "NO_REQUEUE", nullptr},
    {"nodes", nullptr, "NNODES"},
    {"ntasks", nullptr, "NTASKS"},
    {"ntasks-per-node", nullptr, "NTASKS_PER_NODE"},
    {"open-mode", "OPEN_MODE", nullptr},
    {"output", "OUTPUT", "STDOUTMODE"},
    {"partition", "PARTITION", "PARTITION"},
    {"qos", "QOS", "QOS"},
    {"requeue", "REQUEUE", nullptr},
    {"reservation", "RESERVATION", "RESERVATION"},
    {"signal", "SIGNAL", "SIGNAL"},
    {"spread-job", "SPREAD_JOB", "SPREAD_JOB"},
    {"switches", "REQ_SWITCH", "REQ_SWITCH"},
    {"threads-per-core", "THREADS_PER_CORE", "THREADS_PER_CORE"},
    {"time", "TIMELIMIT", "TIMELIMIT"},
    {"use-min-nodes", "USE_MIN_NODES", "USE_MIN_NODES"},
    {"wait", "WAIT", nullptr},
};

std::string_view ValueIn(const std::vector<std::string>& environment, std::string_view name) {
  for (std::string_view entry : environment) {
    if (entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=')
      return entry.substr(name.size() + 1);
  }
  return {};
}

}  // namespace

std::vector<Option> SlurmWords(SlurmCommand command) {
  std::vector<Option> options;
  for (const Word& word : kWords) {
    if ((word.of & MaskOf(command)) == 0) continue;
    bool flag = word.type == Option::kFlag || word.type == Option::kCount;
    options.push_back({.name = word.name,
                       .letter = word.letter,
                       .type = word.type,
                       .value_name = flag ? "" : "VALUE",
                       .help = word.instead == nullptr ? "means nothing here" : "is not had here",
                       .hidden = true});
  }
  return options;
}

Result<> CheckSlurmWords(SlurmCommand command, const Parsed& options) {
  for (const Word& word : kWords) {
    if ((word.of & MaskOf(command)) == 0 || word.instead == nullptr || !options.Has(word.name)) continue;
    return Fail(Code::kInvalidArgument, "--", word.name,
                ": there is no such thing here; instead: ", word.instead);
  }
  return {};
}

void NameSlurmVariables(SlurmCommand command, Command& declared) {
  for (const Variable& variable : kVariables) {
    const char* name = command == SlurmCommand::kSbatch ? variable.sbatch : variable.srun;
    auto option = std::ranges::find(declared.options, std::string_view(variable.option), &Option::name);
    if (name != nullptr && option != declared.options.end()) option->variables.emplace_back(name);
  }
}

Result<Parsed> FromSlurmEnvironment(SlurmCommand command, const Command& declared,
                                    const std::vector<std::string>& environment) {
  Command named = declared;
  NameSlurmVariables(command, named);
  named.positionals = {{.name = "ANY", .arity = Positional::kMany}};
  Parsed said = TRY(ParseOptions(named, {}));
  const bool sbatch = command == SlurmCommand::kSbatch;
  if (ValueIn(environment, "SLIPWAY_CALLED_AS") != (sbatch ? "sbatch" : "srun")) return said;
  std::vector<std::string> counts = environment;
  // What the allocation has set there says how large it is, not what its steps are to be.
  std::erase_if(counts, [&](const std::string& entry) {
    return entry.starts_with("SLURM_NTASKS=") && entry.substr(13) == ValueIn(environment, "SLIPWAY_NTASKS");
  });
  TRY(TakeFromEnvironment(named, {sbatch ? "SBATCH_" : "SLURM_"}, counts, said));
  std::string_view cores = ValueIn(environment, "SRUN_CPUS_PER_TASK");
  if (!sbatch && !cores.empty())
    TRY(TakeFromEnvironment(
        {.name = declared.name,
         .options = {{.name = "cpus-per-task", .type = Option::kString, .variables = {"CPUS_PER_TASK"}}}},
        {"SRUN_"}, counts, said));
  return said;
}

}  // namespace slipway::cli
