// SPDX-License-Identifier: Apache-2.0
#include "cli/front/enter.h"

#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>

#include "base/os/program.h"
#include "cli/front/container_commands.h"
#include "cli/front/container_options.h"
#include "cli/front/say.h"
#include "launcher/client/instance_folder.h"

namespace slipway::cli {
namespace {

// What a container has from its beginning cannot be changed by who comes later.
Result<> RefuseBuildOptions(const std::string& command, const Parsed& parsed, const std::string& whose) {
  for (const Option& option : ContainerOptionList()) {
    bool late = option.name.find("env") != std::string::npos || option.name == "pwd" || option.name == "cwd";
    if (!late && parsed.Has(option.name)) {
      return Fail(Code::kInvalidArgument, "slipway ", command, ": --", option.name,
                  " is settled when a container is made; ", whose, " runs already");
    }
  }
  return {};
}

}  // namespace

std::vector<Option> JobOptionList() {
  return {
      {.name = "job",
       .type = Option::kString,
       .value_name = "ID[.STEP]",
       .help = "no IMAGE: in the container of a running job of yours, on the node where you are",
       .complete = "job"},
      {.name = "node",
       .type = Option::kString,
       .value_name = "NODE",
       .help = "with --job: which of the job's nodes",
       .complete = "node"},
      {.name = "context",
       .type = Option::kString,
       .value_name = "NAME|FILE",
       .help = "with --job: which cluster",
       .complete = "context",
       .hidden = true},
  };
}

Result<int> EnterInstance(const Command& command, const std::string& name, const std::string& image,
                          Parsed parsed, std::vector<std::string> rest) {
  std::string instance = image.substr(kInstanceScheme.size());
  User user = CallingUser();
  std::string parent = TRY(InstancesFolder(user));
  InstanceState state = TRY(FindInstance(parent, instance));
  TRY(RefuseBuildOptions(name, parsed, "instance " + instance));
  std::vector<std::string> env = CallersVariables();
  TRY(TakeOptionsFromEnvironment(command, env, parsed));
  for (std::string& entry : ShellPrompt(name)) env.push_back(std::move(entry));
  TaskRun run{
      .socket = InstanceSocket(Cat(parent, "/", instance)), .whose = "instance " + instance, .say = Say};
  // Environment and working directory as a container of its own would have them.
  ContainerOptions options = ContainerOptionsOf(parsed);
  user.home = state.home;
  run.order.argv = ArgvFor(name, parsed, std::move(rest));
  run.order.whole_environment = true;
  run.order.env = TRY(ContainerEnv(state.image, options.env, user, env));
  run.order.cwd = options.pwd.empty() ? WorkingDirectory() : options.pwd;
  run.order.cwd_optional = options.pwd.empty();
  if (!run.order.cwd.empty() && run.order.cwd[0] != '/')
    return Fail(Code::kInvalidArgument, "--pwd '", run.order.cwd, "' is not an absolute path");
  return RunTaskIn(run);
}

int GoToJob(const std::string& command, const std::vector<std::string>& arguments) {
  if (auto parsed = ParseOptions(DeclareJobTask(command), arguments); !parsed) {
    Say(parsed.error().message);
    return 125;
  }
  auto remote = FindCompanion("slipway-remote");
  if (!remote) {
    Say(Cat("--job needs slipway-remote: ", remote.error().message));
    return 125;
  }
  std::vector<char*> argv = {const_cast<char*>("slipway"), const_cast<char*>(command.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(remote->c_str(), argv.data());
  Say(ErrnoErrorOf(errno, "starting", *remote).message);
  return 125;
}

Command DeclareJobTask(const std::string& command) {
  Command declared{.name = Cat("slipway ", command, " --job"),
                   .summary = "a process beside the ranks of a running job",
                   .examples = {{Cat("slipway ", command, " --job 42 ", command == "exec" ? "ps aux" : ""),
                                 "on the node where the job runs"}},
                   .stop_at_first_positional = true};
  declared.options = JobOptionList();
  for (const Option& option : ContainerOptionList()) {
    if (option.name == "env" || option.name == "pwd" || option.name == "cwd")
      declared.options.push_back(option);
  }
  if (command == "exec")
    declared.positionals.push_back({"COMMAND", Positional::kOne, "looked up in the container"});
  declared.positionals.push_back({"ARG", Positional::kMany, ""});
  return declared;
}

Result<int> EnterJob(const std::string& command, const std::string& socket, const std::string& job,
                     const Parsed& parsed) {
  TaskRun run{.socket = socket, .whose = job, .say = Say};
  std::vector<std::string> rest = parsed.positionals();
  if (!rest.empty() && rest[0] == "--") rest.erase(rest.begin());
  run.order.argv = ArgvFor(command, parsed, std::move(rest));
  run.order.env = ShellPrompt(command);
  if (const char* term = std::getenv("TERM"); term != nullptr) run.order.env.push_back(Cat("TERM=", term));
  for (const std::string& argument : parsed.List("env")) {
    for (std::string& entry : TRY(ParseEnv(argument))) run.order.env.push_back(std::move(entry));
  }
  run.order.cwd = parsed.Value("pwd", parsed.Value("cwd"));
  if (!run.order.cwd.empty() && run.order.cwd[0] != '/')
    return Fail(Code::kInvalidArgument, "--pwd '", run.order.cwd, "' is not an absolute path");
  return RunTaskIn(run);
}

std::string WorkingDirectory() {
  char path[PATH_MAX];
  return ::getcwd(path, sizeof path) != nullptr && path[0] == '/' ? path : "";
}

std::vector<std::string> ShellPrompt(const std::string& command) {
  if (command != "shell") return {};
  return {"PS1=Slipway> "};
}

}  // namespace slipway::cli
