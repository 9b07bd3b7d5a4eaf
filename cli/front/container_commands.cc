// SPDX-License-Identifier: Apache-2.0
#include "cli/front/container_commands.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>

#include "base/os/program.h"
#include "base/text/text.h"
#include "cli/front/container_edits.h"
#include "cli/front/container_options.h"
#include "cli/front/enter.h"
#include "cli/front/explain.h"
#include "cli/front/fetch_image.h"
#include "cli/front/image_scripts.h"
#include "cli/front/limit_options.h"
#include "cli/front/say.h"
#include "launcher/client/container_run.h"
#include "launcher/client/container_spec.h"
#include "launcher/client/limits.h"
#include "launcher/client/overlay_options.h"
#include "launcher/client/store_image.h"

namespace slipway::cli {
namespace {

constexpr int kUsage = 125;
constexpr const char* kContainerCommands[] = {"exec", "run", "shell", "test", "run-help"};

Command Declare(const std::string& name) {
  Command command;
  command.name = Cat("slipway ", name);
  command.options = ContainerOptionList();
  if (name == "exec" || name == "shell") {
    std::vector<Option> job = JobOptionList();
    command.options.insert(command.options.end(), job.begin(), job.end());
  }
  command.stop_at_first_positional = true;
  command.positionals = {
      {"IMAGE", Positional::kOne,
       "a SIF, a squashfs, a directory, docker://… (see `slipway pull`), a name or sha256:… "
       "of the node's store, or instance://NAME",
       "file"}};
  if (name == "exec") {
    command.summary = "run a command in a container";
    command.examples = {
        {"slipway exec lammps.sif lmp -in in.melt", "home, working directory and /tmp are there as outside"},
        {"slipway exec --bind /scratch/data:/data:ro tools.sif ls /data", ""},
        {"slipway exec instance://web ps", "in a container that runs already"},
        {"slipway exec --job 42 gdb -p 1234", "beside a running job's ranks, on its node"}};
    command.positionals.push_back({"COMMAND", Positional::kOne, "looked up in the container"});
    command.positionals.push_back({"ARG", Positional::kMany, ""});
  } else if (name == "run") {
    command.summary = "run what the image was made to run";
    command.examples = {{"slipway run lolcow.sif", "the image's runscript, with the arguments that follow"}};
    command.positionals.push_back({"ARG", Positional::kMany, "for the runscript"});
  } else if (name == "test") {
    command.summary = "run the tests that an image brings (%test of its recipe)";
    command.examples = {{"slipway test solver.sif", "its exit code is that of the tests"},
                        {"slipway test --app solver tools.sif", "those of an app in it"}};
    command.positionals.push_back({"ARG", Positional::kMany, "for the tests"});
  } else if (name == "run-help") {
    command.summary = "print what an image says about its use (%help of its recipe)";
    command.examples = {{"slipway run-help solver.sif", ""}, {"slipway run-help --app solver tools.sif", ""}};
  } else {
    command.summary = "an interactive shell in a container";
    command.examples = {{"slipway shell tools.sif", "bash where the image has it, sh otherwise"}};
    command.positionals.push_back({"ARG", Positional::kMany, "for the shell"});
    command.options.push_back({.name = "shell",
                               .letter = 's',
                               .type = Option::kString,
                               .value_name = "PATH",
                               .help = "another shell of the image",
                               .variables = {"SHELL"}});
  }
  command.notes =
      "Exit code: the command's own; 128 + N when signal N ended it; 127 not found in the image, 126 "
      "not\nexecutable, 125 no container could be made.";
  return command;
}

bool LooksLikeCatalogueName(const std::string& image) {
  return image.find('/') == std::string::npos && image.front() != '.' && !image.ends_with(".sif") &&
         !image.ends_with(".sqfs") && !image.ends_with(".squashfs");
}

struct Chosen {
  ImageFile image;
  std::string digest;  // of an image of the store
};

Result<Chosen> FromStore(const std::string& name, const std::string& digest) {
  return Chosen{StoreImage(name), digest};
}

Result<Chosen> ChooseImage(const std::string& image, const BrokerConf& conf, const WayRequest& way,
                           const Parsed& parsed) {
  if (IsImageAddress(image)) return Chosen{TRY(OpenImageFile(TRY(FetchImage(image)))), ""};
  if (image.starts_with("sha256:")) return FromStore(image, TRY(DigestInStore(conf, image)));
  auto opened = OpenImageFile(image);
  if (!opened && opened.error().sys_errno == ENOENT && LooksLikeCatalogueName(image)) {
    auto digest = DigestInStore(conf, image);
    if (digest) return FromStore(image, *digest);
    if (digest.error().code != Code::kNotFound) return Failure(std::move(digest).error());
    return Fail(Code::kNotFound, "image ", image, ": no such file, and ", digest.error().message,
                "; if it is a name of the cluster's catalogue, use `slipway launch --image ", image, "`");
  }
  ImageFile file = TRY(std::move(opened));
  bool as_is = parsed.Has("as-is");
  if (!parsed.Has("import")) {
    if (as_is) return Fail(Code::kInvalidArgument, "--as-is is how --import imports; give both");
    return Chosen{std::move(file), ""};
  }
  if (!file.file)
    return Fail(Code::kInvalidArgument, "--import: ", image, " is a directory; build a SIF of it first");
  return FromStore(file.path, TRY(ImportIntoStore(way, file.file.get(), as_is)));
}

// For slipway-starter, which makes the maps before it sees the spec.
std::vector<std::string> StarterArguments(const Parsed& parsed) {
  if (!parsed.Has("fakeroot") && !parsed.Has("remap-root")) return {};
  if (parsed.Has("ignore-subuid")) return {"root-only"};
  return {"root", CallingUser().name};
}

Result<int> Run(const Command& command, const std::string& name, Parsed parsed) {
  std::vector<std::string> rest = parsed.positionals();
  std::string image = rest[0];
  rest.erase(rest.begin());
  if (!rest.empty() && rest[0] == "--") rest.erase(rest.begin());
  if (name == "exec" && rest.empty()) return Fail(Code::kInvalidArgument, "slipway exec: no COMMAND given");
  if (image.starts_with(kInstanceScheme))
    return EnterInstance(command, name, image, std::move(parsed), std::move(rest));
  std::optional<Entrance> entrance;
  PreparedRun prepared =
      TRY(PrepareRun(command, image, parsed, ShellPrompt(name), [&](const WayRequest& way) -> Result<> {
        TRY(EnterScope(TRY(LimitsOf(parsed)), ::getpid()));  // first: a container is born within our cgroup
        entrance = TRY(Entrance::Begin(way));
        return {};
      }));
  ContainerRun& run = prepared.run;
  run.spec.argv = ArgvFor(name, parsed, std::move(rest));
  TRY(AddEdits(parsed, prepared.image, run.spec, run.say));
  if (parsed.Has("explain")) {
    run.ready = [&](const Entered& entered, const InitReady& ready) {
      std::fputs(Explained(entered, prepared.image, run.spec, ready, prepared.caller_variables).c_str(),
                 stderr);
    };
  }
  return RunContainer(run, std::move(*entrance));
}

// With --job there is no IMAGE, so what is missing can be judged only once it is known which was meant.
Result<Parsed> Parse(Command& command, const std::vector<std::string>& arguments) {
  std::vector<Positional> strict = command.positionals;
  for (Positional& positional : command.positionals) {
    if (positional.arity == Positional::kOne) positional.arity = Positional::kOptional;
  }
  Parsed parsed = TRY(ParseOptions(command, arguments));
  command.positionals = std::move(strict);
  if (parsed.help() || parsed.Has("job") || !parsed.positionals().empty()) return parsed;
  return ParseOptions(command, arguments);
}

}  // namespace

std::vector<std::string> ArgvFor(const std::string& name, const Parsed& parsed,
                                 std::vector<std::string> rest) {
  if (name == "exec") return rest;
  std::vector<std::string> argv = ImageScriptArgv(name, parsed.Has("app"));
  if (parsed.Has("shell")) argv = {parsed.Value("shell")};
  argv.insert(argv.end(), rest.begin(), rest.end());
  return argv;
}

std::vector<std::string> CallersVariables() {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  return variables;
}

Result<> TakeOptionsFromEnvironment(const Command& command, const std::vector<std::string>& variables,
                                    Parsed& parsed) {
  return TakeFromEnvironment(command, {"SLIPWAY_", "APPTAINER_", "SINGULARITY_"}, variables, parsed);
}

Result<PreparedRun> PrepareRun(const Command& command, const std::string& image, Parsed& parsed,
                               const std::vector<std::string>& more_env,
                               const std::function<Result<>(const WayRequest&)>& chosen) {
  PreparedRun prepared;
  std::vector<std::string> caller_env = CallersVariables();
  TRY(TakeOptionsFromEnvironment(command, caller_env, parsed));
  for (const std::string& warning : TRY(JudgeForeignOptions(command, parsed))) SayUnlessQuiet(warning);
  BrokerConf conf = ReadStarterConf();
  ContainerRun& run = prepared.run;
  prepared.way = {.only = TRY(WayOf(parsed)),
                  .starter = TRY(FindCompanion("slipway-starter")),
                  .rootless_arguments = StarterArguments(parsed),
                  .exec_socket = conf.exec_socket(),
                  .pid_namespace = !parsed.Has("no-pid")};
  Chosen image_chosen = TRY(ChooseImage(image, conf, prepared.way, parsed));
  prepared.image = std::move(image_chosen.image);
  prepared.way.digest = std::move(image_chosen.digest);
  ContainerOptions options = ContainerOptionsOf(parsed);
  prepared.way.changes_image = ChangesImage(options.writing);
  prepared.way.why_own_namespace = WhyOwnNamespace(prepared.image, options.writing);
  TRY(chosen(prepared.way));
  prepared.caller_variables = caller_env.size();
  caller_env.insert(caller_env.end(), more_env.begin(), more_env.end());
  run.spec = TRY(MakeContainerSpec(prepared.image, options, CallingUser(), caller_env, WorkingDirectory(),
                                   prepared.files));
  run.fds = prepared.files.fds();
  run.say = SayUnlessQuiet;
  return prepared;
}

bool IsContainerCommand(std::string_view word) {
  return std::find(std::begin(kContainerCommands), std::end(kContainerCommands), word) !=
         std::end(kContainerCommands);
}

std::vector<Command> ContainerCommands() {
  std::vector<Command> commands;
  for (const char* name : kContainerCommands) commands.push_back(Declare(name));
  return commands;
}

int RunContainerCommand(const std::string& name, const std::vector<std::string>& arguments) {
  Command command = Declare(name);
  auto parsed = Parse(command, arguments);
  if (parsed && parsed->help()) {
    std::fputs(HelpText(command).c_str(), stdout);
    return 0;
  }
  if (parsed && parsed->Has("job")) return GoToJob(name, arguments);
  auto code =
      parsed ? Run(command, name, std::move(*parsed)) : Result<int>(Failure(std::move(parsed).error()));
  if (code) return *code;
  Say(code.error().message);
  return kUsage;
}

}  // namespace slipway::cli
