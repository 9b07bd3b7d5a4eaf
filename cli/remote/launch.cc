// SPDX-License-Identifier: Apache-2.0
// slipway launch: runs a command on nodes now, as if it ran here. Outside an allocation it is a job of its
// own; inside one (a batch script) it is a step of that job.
#include <cstdlib>

#include "base/text/units.h"
#include "cli/remote/attach.h"
#include "cli/remote/image_upload.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/job_wishes.h"
#include "cli/remote/site_options.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

using Words = std::vector<std::string>;

Command Declare() {
  Command command{
      .name = "slipway launch",
      .summary = "run a command on an allocation now, in a container on each node, with its output here",
      .examples = {{"slipway launch -N2 -n4 --image mpi.sif -- python3 hello.py", "four ranks on two nodes"},
                   {"slipway launch -n 16 -- ./solver",
                    "inside a batch script: a step of its job, in its image"},
                   {"slipway launch -l -n 3 --image tiny -- hostname", "each line with its rank"}},
      .options = ResourceOptions(),
      .positionals = {{.name = "COMMAND", .arity = Positional::kOne},
                      {.name = "ARG", .arity = Positional::kMany}},
      .stop_at_first_positional = true,
      .notes =
          "Ctrl-C is passed on to the ranks; a second one ends the step. The exit code is the step's: that "
          "of the\n"
          "rank that failed first, 128 + N for signal N, 125 when slipway itself failed."};
  std::vector<Option> more = {
      {.name = "env",
       .type = Option::kList,
       .value_name = "NAME=VALUE",
       .help = "set this in the ranks' environment"},
      {.name = "export",
       .type = Option::kString,
       .value_name = "LIST",
       .help = "environment that travels: ALL, NONE, or ALL,NAME=value"},
      {.name = "pwd",
       .type = Option::kString,
       .value_name = "DIR",
       .help = "the same as --chdir",
       .complete = "dir"},
      {.name = "het-group",
       .type = Option::kString,
       .value_name = "N",
       .help = "inside a heterogeneous job: in this component of it (default 0)"},
      {.name = "label", .letter = 'l', .help = "put the rank before each line"},
      {.name = "keep-on-bad-exit", .help = "a rank that fails does not end the others"},
      {.name = "kill-on-bad-exit",
       .letter = 'K',
       .type = Option::kMaybe,
       .value_name = "0|1",
       .help = "srun's word for it: 0 is --keep-on-bad-exit"},
      {.name = "immediate",
       .letter = 'I',
       .type = Option::kMaybe,
       .value_name = "SECONDS",
       .help = "give up when it has not started so soon (default 1)"},
      {.name = "jobid",
       .type = Option::kString,
       .value_name = "JOB",
       .help = "a step in this job of yours, which runs",
       .complete = "job"},
      {.name = "wait",
       .letter = 'W',
       .type = Option::kString,
       .value_name = "0",
       .help = "ranks are waited for, as srun does it with 0"},
      {.name = "requeue", .help = "means nothing here: a launch cannot run again", .hidden = true},
      {.name = "no-requeue", .help = "a launch never does", .hidden = true},
      {.name = "mpi-fault-tolerant",
       .help = "MPI ranks go on without those that die (Open MPI 5's ULFM); implies --keep-on-bad-exit"},
      ContextOption()};
  for (const std::vector<Option>& options : {JobWishOptions(), more, SlurmWords(SlurmCommand::kSrun)})
    command.options.insert(command.options.end(), options.begin(), options.end());
  return command;
}

Result<v1::Program> ProgramOf(const Parsed& options, bool in_allocation) {
  v1::Program program;
  TRY(DescribeProgram(options, program));
  if (options.Has("pwd")) {
    std::string pwd = options.Value("pwd");
    if (!pwd.starts_with("/"))
      return Fail(Code::kInvalidArgument, "--pwd ", pwd, ": must be an absolute path in the container");
    program.set_cwd(pwd);
  }
  for (const std::string& word : options.positionals()) program.add_argv(word);
  for (std::string& entry :
       TRY(ExportedEnvironment(OwnEnvironment(), options.Value("export"), in_allocation)))
    program.add_env(std::move(entry));
  for (const std::string& entry : options.List("env")) {
    if (entry.find('=') == std::string::npos || entry[0] == '=')
      return Fail(Code::kInvalidArgument, "--env ", entry, ": NAME=VALUE is wanted");
    program.add_env(entry);
  }
  program.set_interactive_stdin(program.stdin_path().empty());
  std::string kill = options.Value("kill-on-bad-exit");
  if (kill.empty()) kill = "1";
  if (kill != "0" && kill != "1")
    return Fail(Code::kInvalidArgument, "--kill-on-bad-exit=", kill, ": must be 0 or 1");
  bool tolerant = options.Has("mpi-fault-tolerant");
  if (tolerant && options.Has("kill-on-bad-exit") && kill == "1")
    return Fail(Code::kInvalidArgument,
                "--mpi-fault-tolerant and --kill-on-bad-exit=1: one says that ranks "
                "go on without those that die, the other that they do not");
  if (tolerant) program.add_env("SLIPWAY_MPI_FAULT_TOLERANT=1");
  program.set_keep_on_bad_exit(options.Has("keep-on-bad-exit") || tolerant || kill == "0");
  return program;
}

std::string NameOf(const Parsed& options) {
  const std::string& command = options.positionals()[0];
  return options.Value("job-name", command.substr(command.rfind('/') + 1));
}

// --immediate: else it is cancelled.
Result<> StartsSoon(Cluster& cluster, std::uint64_t job, const std::string& seconds) {
  constexpr std::uint64_t kSecondsMax = 86'400;
  std::uint64_t patience_s =
      seconds.empty() ? 1 : TRY_CONTEXT(ParseNumber(seconds, 1, kSecondsMax), "--immediate");
  if (TRY(WaitForStart(cluster, job, std::chrono::seconds(patience_s)))) return {};
  v1::CancelRequest cancel;
  cancel.set_job_id(job);
  TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Cancel, cancel));
  return Fail(Code::kUnavailable, "--immediate: job ", job, " could not be started within ", patience_s,
              " s; it was cancelled");
}

// What is the job's cannot be said of a step in it.
Result<> CheckStepOptions(const Parsed& options) {
  for (const char* name : {"signal", "dependency", "hold", "begin", "deadline", "test-only"}) {
    if (options.Has(name))
      return Fail(Code::kInvalidArgument, "--", name,
                  ": is for a job; this is a step in one that runs already: say it to slipway submit");
  }
  return {};
}

Result<> CheckLaunchOptions(const Parsed& options, bool inside) {
  TRY(JudgeForeignOptions(Declare(), options));
  if (options.Value("wait", "0") != "0")
    return Fail(Code::kInvalidArgument, "--wait=", options.Value("wait"),
                ": ranks are waited for as long as they run; --time ends them");
  return inside ? CheckStepOptions(options) : Result<>();
}

Result<AttachOptions> StartJob(Cluster& cluster, const Parsed& options, const v1::Resources& resources,
                               const v1::Program& program) {
  v1::SubmitRequest request;
  v1::JobSpec& spec = *request.mutable_spec();
  spec.set_name(NameOf(options));
  *spec.mutable_resources() = resources;
  *spec.mutable_program() = program;
  spec.set_interactive(true);
  TRY(ReadSiteJob(options, spec));
  TRY(ReadJobWishes(options, spec));
  spec.set_image(TRY(ImageReference(cluster, options.Value("image"))));
  request.set_request_id(NewRequestId());
  if (options.Has("test-only")) FinishAttached(TRY(PrintWhenWould(cluster, std::move(request))));
  for (const std::string& warning : WarningsOf(options))
    PrintError(Error{Code::kOk, 0, Cat("slipway: warning: ", warning)});
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Submit, request));
  for (const std::string& warning : reply.warnings())
    PrintError(Error{Code::kOk, 0, Cat("slipway: warning: ", warning)});
  if (options.Has("immediate")) TRY(StartsSoon(cluster, reply.job_id(), options.Value("immediate")));
  return AttachOptions{.job = reply.job_id(),
                       .step = 0,
                       .owns_job = true,
                       .label = options.Has("label"),
                       .quiet = options.Has("quiet")};
}

Result<AttachOptions> StartStep(Cluster& cluster, const Parsed& options, std::uint64_t job,
                                const v1::Resources& resources, const v1::Program& program) {
  v1::CreateStepRequest request;
  request.set_job_id(job);
  *request.mutable_resources() = resources;
  *request.mutable_program() = program;
  if (options.Has("image")) request.set_image(TRY(ImageReference(cluster, options.Value("image"))));
  request.set_request_id(NewRequestId());
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::CreateStep, request));
  return AttachOptions{.job = job,
                       .step = reply.step_id(),
                       .owns_job = false,
                       .label = options.Has("label"),
                       .quiet = options.Has("quiet")};
}

// The environment counts where the command line says nothing.
Result<Parsed> WithEnvironment(const Parsed& given) {
  Command command = Declare();
  Words words =
      CommandLineWords(command, TRY(FromSlurmEnvironment(SlurmCommand::kSrun, command, OwnEnvironment())));
  words.pop_back();  // "--"
  const Words own = CommandLineWords(command, given);
  words.insert(words.end(), own.begin(), own.end());
  return ParseOptions(command, words);
}

Result<int> Run(const Parsed& given) {
  auto read = WithEnvironment(given);
  if (!read) return UsageExit(read.error());
  const Parsed& options = *read;
  const std::string jobid = options.Value("jobid");
  const char* allocation = jobid.empty() ? ::getenv("SLIPWAY_JOB_ID") : jobid.c_str();
  bool inside = allocation != nullptr && allocation[0] != '\0';
  if (auto fit = CheckLaunchOptions(options, inside); !fit) return UsageExit(fit.error());
  auto resources = ResourcesOf(options, inside);
  if (!resources) return UsageExit(resources.error());
  auto program = ProgramOf(options, inside);
  if (!program) return UsageExit(program.error());
  if (!inside && !options.Has("image"))
    return UsageExit(
        Error{Code::kInvalidArgument, 0, "slipway launch: no image; give --image FILE, DIR or NAME"});
  std::string group = options.Value("het-group");
  if (group.find_first_of(",-") != std::string::npos)
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           "slipway launch: a step runs in one component: ranks of several cannot share an "
                           "MPI_COMM_WORLD yet; launch once for each --het-group"});
  std::string variable = !jobid.empty()  ? "--jobid"
                         : group.empty() ? "SLIPWAY_JOB_ID"
                                         : Cat("SLIPWAY_JOB_ID_HET_GROUP_", group);
  if (!group.empty()) allocation = ::getenv(variable.c_str());
  if (!group.empty() && allocation == nullptr)
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           Cat("slipway launch: --het-group=", group,
                               ": this is not inside a heterogeneous job that has such a component")});
  BlockAttachSignals();
  Cluster cluster = TRY(Cluster::Of(options));
  AttachOptions attached =
      inside ? TRY(StartStep(cluster, options, TRY_CONTEXT(ParseNumber(allocation, 1, UINT64_MAX), variable),
                             *resources, *program))
             : TRY(StartJob(cluster, options, *resources, *program));
  FinishAttached(TRY(Attach(cluster, attached)));
}

// A refusal after threads have started must end the process at once, too.
Result<int> RunToTheEnd(const Parsed& options) {
  auto code = Run(options);
  if (code) return code;
  PrintError(code.error());
  FinishAttached(kOwnFailure);
}

}  // namespace

const Subcommand kLaunch{{"launch"}, Declare, RunToTheEnd, kOwnFailure};

}  // namespace slipway::cli
