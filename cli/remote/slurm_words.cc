// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/slurm_words.h"

#include <algorithm>
#include <string_view>

#include "base/text/text.h"

namespace slipway::cli {
namespace {

constexpr auto kFlag = Option::kFlag, kCount = Option::kCount, kString = Option::kString,
               kMaybe = Option::kMaybe;
constexpr auto kNothing = Option::kNothing, kRefuse = Option::kRefuse;
constexpr const char *kNodesAre = "choose nodes by --constraint or --nodelist",
                     *kInImage = "the program is in the image: nothing has to be copied",
                     *kClocks = "processors and GPUs run as the site has set them";

constexpr const char *kOneCluster = "there is one cluster; --context says which", *kSeeHelp = "use --help",
                     *kNoMore = "there is no more to be said",
                     *kNoYaml = "use --json of slipway jobs, nodes or job";

constexpr ForeignOption kOfBoth[] = {
    {"usage", 0, kFlag, nullptr, kRefuse, kSeeHelp},
    {"oversubscribe", 's', kMaybe, nullptr, kNothing, "nodes are shared unless --exclusive"},
    {"share", 0, kFlag, nullptr, kNothing, "nodes are shared anyway"},
    {"verbose", 'v', kCount, nullptr, kNothing, "there is no more to be said"},
    {"no-kill", 'k', kMaybe, nullptr, kNothing, "a lost node ends the step"},
    {"wait-all-nodes", 0, kString, nullptr, kNothing, "each node is ready when it is given"},
    {"profile", 0, kString, nullptr, kNothing, "what steps used is kept anyway"},
    {"acctg-freq", 0, kString, nullptr, kNothing, "what steps used is taken from their cgroups"},
    {"wckey", 0, kString, nullptr, kNothing, "jobs are charged to accounts"},
    {"delay-boot", 0, kString, nullptr, kNothing, "nodes are not booted for jobs"},
    {"extra", 0, kString, nullptr, kNothing, "there is nothing that would read it"},
    {"container", 0, kString, nullptr, kRefuse, "use --image"},
    {"container-id", 0, kString, nullptr, kRefuse, "use --image"},
    {"clusters", 'M', kString, nullptr, kRefuse, "--context says which cluster is meant"},
    {"cluster-constraint", 0, kString, nullptr, kRefuse, "--context says which cluster is meant"},
    {"overcommit", 'O', kFlag, nullptr, kRefuse, "each rank has cores of its own; ask for fewer ranks"},
    {"core-spec", 'S', kString, nullptr, kRefuse, "what nodes keep for themselves is the site's to set"},
    {"thread-spec", 0, kString, nullptr, kRefuse, "what nodes keep for themselves is the site's to set"},
    {"extra-node-info", 'B', kString, nullptr, kRefuse, kNodesAre},
    {"sockets-per-node", 0, kString, nullptr, kRefuse, kNodesAre},
    {"cores-per-socket", 0, kString, nullptr, kRefuse, kNodesAre},
    {"gpus-per-socket", 0, kString, nullptr, kRefuse, "use --gpus-per-node"},
    {"ntasks-per-socket", 0, kString, nullptr, kRefuse,
     "use --ntasks-per-node, with --distribution=block:cyclic to deal ranks out over the sockets"},
    {"gres-flags", 0, kString, nullptr, kRefuse, "GPUs are given by number"},
    {"tres-bind", 0, kString, nullptr, kRefuse, "--gpus-per-task gives each rank GPUs of its own"},
    {"tres-per-task", 0, kString, nullptr, kRefuse, "use --cpus-per-task and --gpus-per-task"},
    {"cpu-freq", 0, kString, nullptr, kRefuse, kClocks},
    {"gpu-freq", 0, kString, nullptr, kRefuse, kClocks},
    {"power", 0, kString, nullptr, kRefuse, kClocks},
    {"prefer", 0, kString, nullptr, kRefuse, "use --constraint"},
    {"bb", 0, kString, nullptr, kRefuse, "there are no burst buffers; stage in the script"},
    {"bbf", 0, kString, nullptr, kRefuse, "there are no burst buffers; stage in the script"},
    {"export-file", 0, kString, nullptr, kRefuse, "use --export=NAME=VALUE,…"},
    {"mcs-label", 0, kString, nullptr, kRefuse, "--exclusive keeps others off the nodes"},
    {"network", 0, kString, nullptr, kRefuse, "--switches and --contiguous say how near nodes are to be"},
    {"reboot", 0, kFlag, nullptr, kRefuse, "an administrator reboots nodes"},
    {"uid", 0, kString, nullptr, kRefuse, "submit as that user"},
    {"gid", 0, kString, nullptr, kRefuse, "submit with that group (newgrp)"},
};

constexpr ForeignOption kOfSalloc[] = {
    {"bell", 0, kFlag, nullptr, kNothing, "the prompt says that the allocation is there"},
    {"no-bell", 0, kFlag, nullptr, kNothing, "no bell is rung"},
    {"get-user-env", 0, kMaybe, nullptr, kNothing, "the command has the caller's environment"},
    {"kill-command", 'K', kMaybe, nullptr, kRefuse,
     "a command that still runs when its allocation ends is sent SIGTERM, a shell SIGHUP"},
    {"immediate", 'I', kMaybe, nullptr, kRefuse, "use --deadline: a job that is late is given up"},
};

constexpr ForeignOption kOfScancel[] = {
    {"usage", 0, kFlag, nullptr, kRefuse, kSeeHelp},
    {"verbose", 'v', kCount, nullptr, kNothing, kNoMore},
    {"hurry", 'H', kFlag, nullptr, kNothing, "nothing is staged out"},
    {"batch", 'b', kFlag, nullptr, kRefuse, "--signal=B:SIGNAL at submission is for the script alone"},
    {"full", 'f', kFlag, nullptr, kRefuse, "a signal goes to the ranks; let the script pass it on"},
    {"interactive", 'i', kFlag, nullptr, kRefuse, "see what is meant with squeue, and name the jobs"},
    {"clusters", 'M', kString, nullptr, kRefuse, kOneCluster},
    {"sibling", 0, kString, nullptr, kRefuse, kOneCluster},
    {"wckey", 0, kString, nullptr, kRefuse, "jobs are charged to accounts: --account"},
};

constexpr ForeignOption kOfSqueue[] = {
    {"usage", 0, kFlag, nullptr, kRefuse, kSeeHelp},
    {"verbose", 'v', kCount, nullptr, kNothing, kNoMore},
    {"array-unique", 0, kFlag, nullptr, kNothing, "what waits of an array is one line"},
    {"federation", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"local", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"sibling", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"hide", 0, kFlag, nullptr, kNothing, "no partition is hidden"},
    {"licenses", 'L', kString, nullptr, kRefuse, "slipway partitions says which licences are free"},
    {"steps", 's', kMaybe, nullptr, kRefuse, "sacct shows steps"},
    {"yaml", 0, kFlag, nullptr, kRefuse, kNoYaml},
};

constexpr ForeignOption kOfSinfo[] = {
    {"usage", 0, kFlag, nullptr, kRefuse, kSeeHelp},
    {"verbose", 'v', kCount, nullptr, kNothing, kNoMore},
    {"federation", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"local", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"hide", 0, kFlag, nullptr, kNothing, "no partition is hidden"},
    {"noconvert", 0, kFlag, nullptr, kNothing, "memory is shown in MiB"},
    {"iterate", 'i', kString, nullptr, kRefuse, "use watch -n SECONDS sinfo"},
    {"reservation", 'T', kFlag, nullptr, kRefuse, "use scontrol show reservation"},
    {"json", 0, kFlag, nullptr, kRefuse, "use slipway nodes --json"},
    {"yaml", 0, kFlag, nullptr, kRefuse, kNoYaml},
};

constexpr const char* kNotKept = "slipwayd keeps what sacct shows without it";
constexpr ForeignOption kOfSacct[] = {
    {"usage", 'U', kFlag, nullptr, kRefuse, kSeeHelp},
    {"verbose", 'v', kCount, nullptr, kNothing, kNoMore},
    {"federation", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"local", 0, kFlag, nullptr, kNothing, kOneCluster},
    {"whole-hetjob", 0, kMaybe, nullptr, kNothing, "components are jobs with numbers of their own"},
    {"use-local-uid", 0, kFlag, nullptr, kNothing, "users are those of this host"},
    {"long", 'l', kFlag, nullptr, kRefuse, "name the columns: -o; --helpformat lists them"},
    {"completion", 'c', kFlag, nullptr, kRefuse, kNotKept},
    {"file", 'f', kString, nullptr, kRefuse, kNotKept},
    {"batch-script", 'B', kFlag, nullptr, kRefuse, "the script stays with who submitted it"},
    {"env-vars", 0, kFlag, nullptr, kRefuse, "the environment is not shown"},
    {"flags", 'F', kString, nullptr, kRefuse, "choose by --state"},
    {"constraints", 'C', kString, nullptr, kRefuse, "choose by --nodelist"},
    {"reason", 'R', kString, nullptr, kRefuse, "slipway why says why a job waits"},
    {"group", 'g', kString, nullptr, kRefuse, "choose by --user or --account"},
    {"gid", 0, kString, nullptr, kRefuse, "choose by --user or --account"},
    {"associations", 'x', kString, nullptr, kRefuse, "choose by --user and --account"},
    {"nnodes", 'I', kString, nullptr, kRefuse, "choose by a column: -P -o jobid,nnodes"},
    {"ncpus", 'i', kString, nullptr, kRefuse, "choose by a column: -P -o jobid,ncpus"},
    {"timelimit-min", 'k', kString, nullptr, kRefuse, "choose by a column: -P -o jobid,timelimit"},
    {"timelimit-max", 'K', kString, nullptr, kRefuse, "choose by a column: -P -o jobid,timelimit"},
    {"units", 0, kString, nullptr, kRefuse, "memory is shown with its unit"},
    {"wckeys", 'W', kString, nullptr, kRefuse, "jobs are charged to accounts: --accounts"},
};

constexpr ForeignOption kOfSbatch[] = {
    {"get-user-env", 0, kMaybe, nullptr, kNothing, "the environment is that of the submission"},
    {"ignore-pbs", 0, kFlag, nullptr, kNothing, "#PBS lines are never read"},
    {"batch", 0, kString, nullptr, kRefuse,
     "the script runs on the job's first node; --constraint is for all"},
    {"kill-on-invalid-dep", 0, kString, nullptr, kRefuse,
     "a job whose dependency cannot be met any more waits; cancel it"},
};

constexpr ForeignOption kOfSrun[] = {
    {"quit-on-interrupt", 0, kFlag, nullptr, kNothing, "Ctrl-C is passed on at once"},
    {"unbuffered", 'u', kFlag, nullptr, kNothing, "output travels as it is written"},
    {"overlap", 0, kFlag, nullptr, kNothing, "steps of a job share what it has"},
    {"exact", 0, kFlag, nullptr, kNothing, "a step is bound to as much as it asks for"},
    {"whole", 0, kFlag, nullptr, kNothing, "steps of a job share what it has"},
    {"disable-status", 'X', kFlag, nullptr, kNothing, "Ctrl-C is passed on at once"},
    {"preserve-env", 'E', kFlag, nullptr, kNothing, "the environment of a step is the caller's"},
    {"threads", 'T', kString, nullptr, kNothing, "one process starts all ranks of a node"},
    {"slurmd-debug", 0, kString, nullptr, kNothing, "agents log as the site has set them"},
    {"msg-timeout", 0, kString, nullptr, kNothing, "the cluster waits as the site has set it"},
    {"treewidth", 0, kString, nullptr, kNothing, "nodes talk to one another directly"},
    {"resv-ports", 0, kMaybe, nullptr, kNothing, "ranks find one another through PMIx"},
    {"bcast", 0, kMaybe, nullptr, kRefuse, kInImage},
    {"bcast-exclude", 0, kMaybe, nullptr, kRefuse, kInImage},
    {"send-libs", 0, kMaybe, nullptr, kRefuse, kInImage},
    {"compress", 0, kMaybe, nullptr, kRefuse, kInImage},
    {"accel-bind", 0, kString, nullptr, kRefuse, "--gpus-per-task gives each rank GPUs of its own"},
    {"multi-prog", 0, kFlag, nullptr, kRefuse,
     "let the program look at SLURM_PROCID, or submit components (A : B)"},
    {"relative", 'r', kString, nullptr, kRefuse, "use --nodelist"},
    {"no-allocate", 'Z', kFlag, nullptr, kRefuse, "slipway exec runs containers without a job"},
};

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
    {"epilog", nullptr, "EPILOG"},
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
    {"prolog", nullptr, "PROLOG"},
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
  auto with_both = [](std::vector<Option> own) {
    std::vector<Option> options = HiddenOptions(kOfBoth);
    options.insert(options.end(), own.begin(), own.end());
    return options;
  };
  switch (command) {
    case SlurmCommand::kSbatch:
      return with_both(HiddenOptions(kOfSbatch));
    case SlurmCommand::kSrun:
      return with_both(HiddenOptions(kOfSrun));
    case SlurmCommand::kSalloc:
      return with_both(HiddenOptions(kOfSalloc));
    case SlurmCommand::kScancel:
      return HiddenOptions(kOfScancel);
    case SlurmCommand::kSqueue:
      return HiddenOptions(kOfSqueue);
    case SlurmCommand::kSinfo:
      return HiddenOptions(kOfSinfo);
    case SlurmCommand::kSacct:
      return HiddenOptions(kOfSacct);
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
  for (const char* name : {"NTASKS", "NNODES"}) {
    if (std::string_view ours = ValueIn(environment, Cat("SLIPWAY_", name)); !ours.empty())
      std::erase(counts, Cat("SLURM_", name, "=", ours));
  }
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
