// SPDX-License-Identifier: Apache-2.0
// slipway job: all that is known about one job, and where its time went.
#include <algorithm>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway job",
          .summary = "show one job: state, nodes, steps, and where its time went",
          .examples = {{"slipway job 12", "a job"},
                       {"slipway job 12_3", "task 3 of array 12"},
                       {"slipway job 12 --json", "for programs"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {{.name = "JOB", .arity = Positional::kOne, .complete = "job"}}};
}

std::string Hosts(const google::protobuf::RepeatedPtrField<std::string>& nodes) {
  return nodes.empty() ? "-" : CompressHostlist(std::vector<std::string>(nodes.begin(), nodes.end()));
}

// "n1:0,1 n2:2"
std::string Gpus(const v1::Job& job) {
  std::string text;
  for (int i = 0; i < job.gpus_size() && i < job.nodes_size(); ++i)
    text += Cat(text.empty() ? "" : " ", job.nodes(i), ":", job.gpus(i));
  return text;
}

std::string Facts(const v1::Job& job) {
  std::vector<std::pair<std::string, std::string>> facts = {{"job", JobIdText(job)},
                                                            {"name", job.name()},
                                                            {"user", job.user()},
                                                            {"state", StateName(job.state())},
                                                            {"why", job.reason()}};
  if (job.ended()) facts.emplace_back("exit code", Cat(job.exit_code()));
  facts.insert(facts.end(),
               {{"image", job.image()},
                {"digest", job.image_digest()},
                {"nodes", Hosts(job.nodes())},
                {"tasks", Cat(job.resources().tasks())},
                {"submitted", FormatMoment(job.submit_ms())},
                {"started", FormatMoment(job.start_ms())},
                {"ended", FormatMoment(job.end_ms())},
                {"partition", job.resources().partition()},
                {"account", job.account()},
                {"QOS", job.qos()},
                {"features", job.resources().constraint()},
                {"GPUs", Gpus(job)},
                {"time limit", FormatTimeLimit(std::chrono::seconds(job.resources().time_limit_s()))},
                {"output", job.stdout_path()},
                {"errors", job.stderr_path()},
                {"directory", job.cwd()},
                {"comment", job.comment()}});
  if (job.start_ms() != 0) {
    facts.insert(facts.end(), {{"waiting", FormatMilliseconds(job.waiting_ms())},
                               {"staging", FormatMilliseconds(job.staging_ms())},
                               {"starting", FormatMilliseconds(job.starting_ms())},
                               {"wiring up", FormatMilliseconds(job.wireup_ms())},
                               {"running", FormatMilliseconds(job.running_ms())}});
  }
  std::string text;
  for (auto& [key, value] : facts) {
    if (!value.empty()) text += Cat(key, std::string(12 - key.size(), ' '), Printable(value), "\n");
  }
  return text;
}

// Of all its nodes: processor time is a sum, memory the worst node's.
struct StepSums {
  std::uint64_t cpu_us = 0, memory_peak_bytes = 0;
};
StepSums SumsOf(const v1::Step& step) {
  StepSums sums;
  for (const v1::StepPart& part : step.parts()) {
    sums.cpu_us += part.usage().cpu_us();
    sums.memory_peak_bytes =
        std::max<std::uint64_t>(sums.memory_peak_bytes, part.usage().memory_peak_bytes());
  }
  return sums;
}

// "binding  0 on n1: cores 0:0-1 1:2-3"
std::string Bindings(const v1::Job& job) {
  std::string text;
  for (const v1::Step& step : job.steps()) {
    for (const v1::StepPart& part : step.parts()) {
      if (!part.binding().empty())
        text += Cat("binding     ", StepIdText(step.step_id()), " on ", part.node(), ": ",
                    Printable(part.binding()), "\n");
    }
  }
  return text.empty() ? text : "\n" + text;
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::Job job = TRY(FindJob(cluster, options.positionals()[0]));
  if (options.Has("json")) {
    Print(JobJson(job));
    return 0;
  }
  std::string text = Facts(job);
  if (!job.steps().empty()) {
    Table steps({{"STEP", true},
                 {"STATE"},
                 {"TASKS", true},
                 {"NODES"},
                 {"EXIT", true},
                 {"TIME", true},
                 {"CPU", true},
                 {"MEMORY", true},
                 {"WHY"}});
    for (const v1::Step& step : job.steps()) {
      auto took = step.end_ms() > step.start_ms() && step.start_ms() != 0
                      ? FormatMilliseconds(static_cast<std::uint64_t>(step.end_ms() - step.start_ms()))
                      : "-";
      StepSums sums = SumsOf(step);
      steps.Add({StepIdText(step.step_id()), step.state(), Cat(step.tasks()), Hosts(step.nodes()),
                 step.end_ms() != 0 ? Cat(step.exit_code()) : "-", took,
                 sums.cpu_us == 0 ? "-" : FormatMilliseconds(sums.cpu_us / 1000),
                 sums.memory_peak_bytes == 0 ? "-" : FormatBytes(sums.memory_peak_bytes), step.reason()});
    }
    text += "\n" + steps.Text(WantsColour(1)) + Bindings(job);
  }
  Print(text);
  return 0;
}

}  // namespace

const Subcommand kJob{{"job"}, Declare, Run};

}  // namespace slipway::cli
