// SPDX-License-Identifier: Apache-2.0
// slipway instance start and run: they differ in which of the image's scripts runs in it.
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "cli/front/container_commands.h"
#include "cli/front/container_edits.h"
#include "cli/front/container_options.h"
#include "cli/front/explain.h"
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

std::vector<std::string> FirstTask(bool start, const Parsed& parsed,
                                   const std::vector<std::string>& arguments) {
  if (!start) return ArgvFor("run", parsed, arguments);
  std::vector<std::string> argv = {"/.singularity.d/startscript"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

// NAME's value in a list of NAME=value.
std::string ValueOf(const std::vector<std::string>& env, const std::string& name) {
  std::string value;
  for (const std::string& entry : env) {
    if (entry.starts_with(name + "=")) value = entry.substr(name.size() + 1);
  }
  return value;
}

// All but the claim to its name.
Result<InstancePlan> PlanOf(bool start, const std::string& name, const std::vector<std::string>& arguments,
                            const Parsed& parsed, const PreparedRun& prepared) {
  InstancePlan plan;
  plan.limits = TRY(LimitsOf(parsed));
  plan.way = prepared.way;
  plan.first = FirstTask(start, parsed, arguments);
  plan.first_optional = start;
  plan.spec = prepared.run.spec;
  plan.spec.argv = plan.first;
  TRY(AddEdits(parsed, prepared.image, plan.spec, prepared.run.say));
  plan.fds = prepared.run.fds;
  std::string logs = TRY(InstanceLogFolder(CallingUser()));
  plan.state = {.name = name,
                .image = prepared.image.path,
                .argv = arguments,
                .home = ValueOf(plan.spec.env, "HOME"),
                .started_s = static_cast<std::int64_t>(std::time(nullptr)),
                .log_out = Cat(logs, "/", name, ".out"),
                .log_err = Cat(logs, "/", name, ".err")};
  return plan;
}

Entered EnteredAs(const InstanceReady& ready) {
  Entered entered;
  entered.way = static_cast<Way>(ready.way);
  entered.passed_over = ready.passed_over;
  return entered;
}

Result<int> Start(bool start, Parsed parsed) {
  std::vector<std::string> rest = parsed.positionals();
  std::string image = rest[0], name = rest[1];
  rest.erase(rest.begin(), rest.begin() + 2);
  TRY(CheckInstanceName(name));
  PreparedRun prepared = TRY(PrepareRun(Declare(start ? "start" : "run"), image, parsed, {},
                                        [](const WayRequest&) { return Result<>(); }));
  InstancePlan plan = TRY(PlanOf(start, name, rest, parsed, prepared));
  LaunchSpec spec = plan.spec;
  plan.claim = TRY(ClaimInstance(TRY(InstancesFolder(CallingUser())), name));
  int exit_code = 0;
  auto ready = StartInstance(std::move(plan), prepared.run.say, exit_code);
  if (!ready) {
    prepared.run.say(Cat("instance ", name, ": ", ready.error().message));
    return exit_code;
  }
  if (parsed.Has("explain"))
    std::fputs(
        Explained(EnteredAs(*ready), prepared.image, spec, ready->init, prepared.caller_variables).c_str(),
        stderr);
  std::fprintf(stderr, "slipway: instance %s is up\n", name.c_str());
  return 0;
}

}  // namespace

const InstanceCommand kInstanceStart{"start", [] { return Declare("start"); },
                                     [](const Parsed&parsed) { return Start(true, parsed); }},
    kInstanceRun{"run", [] { return Declare("run"); },
                 [](const Parsed&parsed) { return Start(false, parsed); }};

}  // namespace slipway::cli
