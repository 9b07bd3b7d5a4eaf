// SPDX-License-Identifier: Apache-2.0
// slipway launch: runs a command on nodes now, as if it ran here. Outside an allocation it is a job of its
// own; inside one (a batch script) it is a step of that job.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/text/units.h"
#include "cli/pyxis/pyxis.h"
#include "cli/remote/alloc_environment.h"
#include "cli/remote/attach.h"
#include "cli/remote/callers_terminal.h"
#include "cli/remote/components.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/job_wishes.h"
#include "cli/remote/site_options.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/step_programs.h"
#include "cli/remote/subcommand.h"
#include "cli/remote/wanted_image.h"
#include "launcher/spec/terminal.h"
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
                   {"slipway launch --pty --image tiny -- bash", "a shell there, on this terminal"},
                   {"slipway launch -l -n 3 --image tiny -- hostname", "each line with its rank"},
                   {"slipway launch --image tiny -n1 ./server : -N2 -n8 ./worker",
                    "two programs, started together as one job"}},
      .options = ResourceOptions(),
      .positionals = {{.name = "COMMAND", .arity = Positional::kOne},
                      {.name = "ARG", .arity = Positional::kMany}},
      .stop_at_first_positional = true,
      .notes =
          "Ctrl-C is passed on to the ranks; a second one ends the step. The exit code is the step's: that "
          "of the\n"
          "rank that failed first, 128 + N for signal N, 125 when slipway itself failed.\n"
          "A ':' between two programs makes one job of both: they start at the same instant, each with an\n"
          "MPI_COMM_WORLD of its own; input goes to the first. One that needs a ':' of its own gets it from "
          "a "
          "shell."};
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
      {.name = "task-prolog",
       .type = Option::kString,
       .value_name = "FILE",
       .help = "a program in the container that each rank runs before its own; what it prints as 'export "
               "NAME=value' "
               "is for the rank"},
      {.name = "task-epilog",
       .type = Option::kString,
       .value_name = "FILE",
       .help = "one that it runs afterwards"},
      {.name = "pty",
       .help =
           "rank 0 on a terminal of its own, which is this one's other end; one rank unless -n or -N says "
           "otherwise"},
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
  for (const std::vector<Option>& options :
       {JobWishOptions(), more, StepProgramOptions(), SlurmWords(SlurmCommand::kSrun)})
    command.options.insert(command.options.end(), options.begin(), options.end());
  return command;
}

Result<v1::Program> ProgramOf(const Parsed& options, bool in_allocation) {
  v1::Program program;
  TRY(DescribeProgram(options, program));
  for (auto [option, variable] :
       {std::pair("task-prolog", "SLIPWAY_TASK_PROLOG"), {"task-epilog", "SLIPWAY_TASK_EPILOG"}}) {
    if (!options.Has(option)) continue;
    if (!options.Value(option).starts_with('/'))
      return Fail(Code::kInvalidArgument, "--", option, " ", options.Value(option),
                  ": an absolute path is wanted");
    program.add_env(Cat(variable, "=", options.Value(option)));
  }
  if (options.Has("pwd")) {
    std::string pwd = options.Value("pwd");
    if (!pwd.starts_with("/"))
      return Fail(Code::kInvalidArgument, "--pwd ", pwd, ": must be an absolute path in the container");
    program.set_cwd(pwd);
  }
  if (options.Has("container-entrypoint")) program.add_argv("/.singularity.d/runscript");
  for (const std::string& word : options.positionals()) program.add_argv(word);
  // Beside an allocation of `alloc` our environment is the host's, not a container's.
  bool in_container = in_allocation && ::getenv(kHeldHereVariable) == nullptr;
  for (std::string& entry : TRY(ExportedEnvironment(OwnEnvironment(), options.Value("export"), in_container)))
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

// srun goes on without a terminal where there is none, and scripts count on it.
Result<bool> WantsTerminal(const Parsed& options) {
  if (!options.Has("pty")) return false;
  for (const char* other : {"output", "error", "input", "label"}) {
    if (options.Has(other))
      return Fail(Code::kInvalidArgument, "--pty and --", other,
                  ": a terminal is input and output at once, and no file; leave one of them out");
  }
  if (::isatty(0) == 1 && ::isatty(1) == 1) return true;
  const char* stream = ::isatty(0) == 1 ? "output" : "input";
  const char* called_as = ::getenv("SLIPWAY_CALLED_AS");
  if (called_as == nullptr || std::string_view(called_as) != "srun")
    return Fail(Code::kInvalidArgument, "--pty: the standard ", stream,
                " is no terminal; leave --pty out, or call this from one");
  PrintError(
      Error{Code::kOk, 0, Cat("slipway: the standard ", stream, " is no terminal: --pty is left out")});
  return false;
}

void PutOnTerminal(const Parsed& options, v1::Resources& resources, v1::Program& program) {
  auto size = CallersTerminal::Instance().Size();
  TerminalSize told{.rows = static_cast<std::uint16_t>(size.rows()),
                    .columns = static_cast<std::uint16_t>(size.columns())};
  program.add_env(Cat(kTerminalVariable, "=", TerminalText(told)));
  const char* kind = ::getenv("TERM");
  bool travels =
      std::ranges::any_of(program.env(), [](const auto& entry) { return entry.starts_with("TERM="); });
  if (kind != nullptr && !travels) program.add_env(Cat("TERM=", kind));
  bool counted = options.Has("ntasks") || options.Has("nodes") || options.Has("ntasks-per-node");
  if (!counted) resources.set_tasks(1);
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

// One component of the job; most jobs have but one.
Result<v1::JobSpec> SpecOf(const Parsed& options, bool terminal) {
  v1::JobSpec spec;
  spec.set_name(NameOf(options));
  *spec.mutable_resources() = TRY(ResourcesOf(options));
  *spec.mutable_program() = TRY(ProgramOf(options, false));
  if (terminal) PutOnTerminal(options, *spec.mutable_resources(), *spec.mutable_program());
  spec.set_interactive(true);
  TRY(ReadSiteJob(options, spec));
  TRY(ReadJobWishes(options, spec));
  return spec;
}

Result<AttachOptions> StartJob(Cluster& cluster, const std::vector<Parsed>& components,
                               const std::vector<WantedImage>& images, std::vector<v1::JobSpec> specs) {
  const Parsed& options = components.front();
  v1::SubmitRequest request;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    specs[i].set_image(TRY(ReferenceOf(cluster, images[i])));
    if (i > 0) specs[i].mutable_program()->set_interactive_stdin(false);  // the first one's
    *(i == 0 ? request.mutable_spec() : request.add_components()) = std::move(specs[i]);
  }
  request.set_request_id(NewRequestId());
  if (options.Has("test-only")) FinishAttached(TRY(PrintWhenWould(cluster, std::move(request))));
  for (const std::string& warning : WarningsOf(options))
    PrintError(Error{Code::kOk, 0, Cat("slipway: warning: ", warning)});
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Submit, request));
  for (const std::string& warning : reply.warnings())
    PrintError(Error{Code::kOk, 0, Cat("slipway: warning: ", warning)});
  if (options.Has("immediate")) TRY(StartsSoon(cluster, reply.job_id(), options.Value("immediate")));
  AttachOptions attach{.job = reply.job_id(),
                       .step = 0,
                       .owns_job = true,
                       .label = options.Has("label"),
                       .quiet = options.Has("quiet")};
  for (std::size_t i = 1; i < specs.size(); ++i) attach.others.push_back(reply.job_id() + i);
  return attach;
}

Result<AttachOptions> NewStep(Cluster& cluster, const Parsed& options, const WantedImage& image,
                              std::uint64_t job, const v1::Resources& resources, const v1::Program& program) {
  auto request = std::make_shared<v1::CreateStepRequest>();
  request->set_job_id(job);
  *request->mutable_resources() = resources;
  *request->mutable_program() = program;
  if (!image.text.empty()) request->set_image(TRY(ReferenceOf(cluster, image)));
  request->set_request_id(NewRequestId());
  return AttachOptions{.job = job,
                       .create = request,
                       .owns_job = false,
                       .label = options.Has("label"),
                       .quiet = options.Has("quiet")};
}

// The job whose step it is: that of --het-group, or the one this runs in.
Result<std::uint64_t> Allocation(const Parsed& options) {
  std::string group = options.Value("het-group");
  if (group.find_first_of(",-") != std::string::npos)
    return Fail(Code::kInvalidArgument,
                "slipway launch: a step runs in one component: ranks of several cannot share an "
                "MPI_COMM_WORLD yet; launch once for each --het-group");
  if (options.Has("jobid")) return TRY_CONTEXT(ParseNumber(options.Value("jobid"), 1, UINT64_MAX), "--jobid");
  std::string variable = group.empty() ? "SLIPWAY_JOB_ID" : Cat("SLIPWAY_JOB_ID_HET_GROUP_", group);
  const char* job = ::getenv(variable.c_str());
  if (job == nullptr)
    return Fail(Code::kInvalidArgument, "slipway launch: --het-group=", group,
                ": this is not inside a heterogeneous job that has such a component");
  return TRY_CONTEXT(ParseNumber(job, 1, UINT64_MAX), variable);
}

Result<int> RunStep(const Parsed& options) {
  auto resources = ResourcesOf(options, true);
  if (!resources) return UsageExit(resources.error());
  auto program = ProgramOf(options, true);
  if (!program) return UsageExit(program.error());
  auto terminal = WantsTerminal(options);
  if (!terminal) return UsageExit(terminal.error());
  if (*terminal) PutOnTerminal(options, *resources, *program);
  auto word = ImageWordOf(options);
  if (!word) return UsageExit(word.error());
  auto job = Allocation(options);
  if (!job) return UsageExit(job.error());
  WantedImage image = TRY(Bring(*word));
  RunStepProgram(options, "prolog");
  BlockAttachSignals();
  Cluster cluster = TRY(word->empty() ? Cluster::ForSteps(options) : Cluster::Of(options));
  AttachOptions attached = TRY(NewStep(cluster, options, image, *job, *resources, *program));
  attached.terminal = *terminal;
  int code = TRY(Attach(cluster, attached));
  RunStepProgram(options, "epilog");
  FinishAttached(code);
}

Result<std::string> JobImageWord(const Parsed& options) {
  std::string word = TRY(ImageWordOf(options));
  if (!word.empty()) return word;
  return Fail(Code::kInvalidArgument,
              "slipway launch: no image; give --image FILE, DIR, NAME or docker://ADDRESS");
}

Result<int> RunJob(const std::vector<Parsed>& components) {
  auto terminal = WantsTerminal(components.front());
  if (!terminal) return UsageExit(terminal.error());
  if (*terminal && components.size() > 1)
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           "slipway launch: --pty: a terminal is one program's; launch them one by one"});
  std::vector<v1::JobSpec> specs;
  std::vector<std::string> words;
  for (const Parsed& options : components) {
    auto spec = SpecOf(options, *terminal);
    if (!spec) return UsageExit(spec.error());
    specs.push_back(std::move(*spec));
    auto word = JobImageWord(options);
    if (!word) return UsageExit(word.error());
    words.push_back(std::move(*word));
    if (!options.Has("het-group")) continue;
    if (auto job = Allocation(options); !job) return UsageExit(job.error());
  }
  std::vector<WantedImage> images;
  for (const std::string& word : words) images.push_back(TRY(Bring(word)));
  for (const Parsed& options : components) RunStepProgram(options, "prolog");
  BlockAttachSignals();
  Cluster cluster = TRY(Cluster::Of(components.front()));
  AttachOptions attached = TRY(StartJob(cluster, components, images, std::move(specs)));
  attached.terminal = *terminal;
  int code = TRY(Attach(cluster, attached));
  for (const Parsed& options : components) RunStepProgram(options, "epilog");
  FinishAttached(code);
}

// The environment counts where the command line says nothing.
Result<Parsed> WithEnvironment(const Parsed& given) {
  Command command = Declare();
  Words words =
      CommandLineWords(command, TRY(FromSlurmEnvironment(SlurmCommand::kSrun, command, OwnEnvironment())));
  words.pop_back();  // "--"
  const Words own = CommandLineWords(command, given);
  words.insert(words.end(), own.begin(), own.end());
  Parsed options = TRY(ParseOptions(command, words));
  TRY(TakeFromEnvironment(command, {"PYXIS_"}, OwnEnvironment(), options));
  return options;
}

Result<int> Run(const Parsed& given) {
  auto options = WithEnvironment(given);
  if (!options) return UsageExit(options.error());
  const char* allocation = ::getenv("SLIPWAY_JOB_ID");
  const bool inside = options->Has("jobid") || (allocation != nullptr && allocation[0] != '\0');
  auto components = ProgramsGiven(Declare(), *options);
  if (!components) return UsageExit(components.error());
  for (const Parsed& component : *components) {
    if (auto fit = CheckLaunchOptions(component, inside); !fit) return UsageExit(fit.error());
  }
  if (!inside) return RunJob(*components);
  if (components->size() > 1)
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           "slipway launch: ':' makes a job of several programs, and this is inside one: "
                           "launch once for each --het-group, in the background"});
  return RunStep(components->front());
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
