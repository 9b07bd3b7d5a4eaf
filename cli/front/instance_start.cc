// SPDX-License-Identifier: Apache-2.0
// slipway instance start and run: they differ in which of the image's scripts runs in it.
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "cli/front/container_commands.h"
#include "cli/front/container_options.h"
#include "cli/front/instance_commands.h"
#include "cli/front/limit_options.h"
#include "launcher/client/instance_keeper.h"

namespace slipway::cli {
namespace {

Command Declare(const std::string& word) {
  Command command;
  command.name = "slipway instance " + word;
  command.options = ContainerOptionList();
  command.stop_at_first_positional = true;
  command.positionals = {{"IMAGE", Positional::kOne, "a SIF, a squashfs or a directory", "file"},
                         {"NAME", Positional::kOne, "yours to choose; instance://NAME in exec, run, shell"},
                         {"ARG", Positional::kMany, ""}};
  bool start = word == "start";
  command.summary = start ? "start a container that stays, with the image's startscript in it"
                          : "the same with the image's runscript";
  command.examples = {{Cat("slipway instance ", word, " db.sif db"), "returns when the container stands"},
                      {"slipway exec instance://db psql", "a command in it"},
                      {"slipway instance stop db", ""}};
  command.notes =
      "The script's output goes to the files that `slipway instance list --logs` names. The instance stays\n"
      "until it is stopped, also when the script has ended.";
  return command;
}

std::vector<std::string> FirstTask(bool start, const std::vector<std::string>& arguments) {
  if (!start) return ArgvFor("run", arguments);
  std::vector<std::string> argv = {"/.singularity.d/startscript"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

Result<int> Start(bool start, const Parsed& parsed) {
  std::vector<std::string> rest = parsed.positionals();
  std::string image = rest[0], name = rest[1];
  rest.erase(rest.begin(), rest.begin() + 2);
  TRY(CheckInstanceName(name));
  PreparedRun prepared = TRY(PrepareRun(image, parsed));
  ContainerLimits limits = TRY(LimitsOf(parsed));
  User user = CallingUser();
  std::string parent = TRY(InstancesFolder(user));
  std::string logs = TRY(InstanceLogFolder(user));
  InstancePlan plan;
  plan.claim = TRY(ClaimInstance(parent, name));
  plan.starter = prepared.run.starter;
  plan.first = FirstTask(start, rest);
  plan.first_optional = start;
  plan.spec = prepared.run.spec;
  plan.spec.argv = plan.first;
  plan.fds = prepared.run.fds;
  plan.limits = std::move(limits);
  plan.state = {.name = name,
                .image = prepared.image.path,
                .argv = rest,
                .started_s = static_cast<std::int64_t>(std::time(nullptr)),
                .log_out = Cat(logs, "/", name, ".out"),
                .log_err = Cat(logs, "/", name, ".err")};
  LaunchSpec spec = plan.spec;
  int exit_code = 0;
  auto ready = StartInstance(std::move(plan), prepared.run.say, exit_code);
  if (!ready) {
    prepared.run.say(Cat("instance ", name, ": ", ready.error().message));
    return exit_code;
  }
  if (parsed.Has("explain")) Explain(prepared.image, spec, *ready);
  std::fprintf(stderr, "slipway: instance %s is up\n", name.c_str());
  return 0;
}

}  // namespace

const InstanceCommand kInstanceStart{"start", [] { return Declare("start"); },
                                     [](const Parsed&parsed) { return Start(true, parsed); }},
    kInstanceRun{"run", [] { return Declare("run"); },
                 [](const Parsed&parsed) { return Start(false, parsed); }};

}  // namespace slipway::cli
