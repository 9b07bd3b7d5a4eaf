// SPDX-License-Identifier: Apache-2.0
// slipway cancel: ends jobs, or sends them a signal.
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/signal_name.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"
#include "cli/script/array.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

std::string StateWord(const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_PENDING) return "PENDING";
  return job.state() == v1::JOB_STATE_SUSPENDED ? "SUSPENDED" : "RUNNING";
}

std::set<std::string> AsSet(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

// Of those that the caller may end, jobs by what they are: as scancel chooses.
struct Choice {
  const char* option;
  char letter;
  const char *value, *help;
  bool (*takes)(const v1::Job& job, const std::set<std::string>& wanted);
};
constexpr Choice kChoices[] = {
    {"user", 'u', "NAME", "all jobs of this user",
     [](const v1::Job& job, const auto& wanted) {
       return wanted.contains(job.user()) || wanted.contains(Cat(job.uid()));
     }},
    {"name", 'n', "NAME", "jobs of this name",
     [](const v1::Job& job, const auto& wanted) { return wanted.contains(job.name()); }},
    {"partition", 'p', "NAME", "jobs in this partition",
     [](const v1::Job& job, const auto& wanted) { return wanted.contains(job.resources().partition()); }},
    {"state", 't', "STATE", "PENDING, RUNNING or SUSPENDED jobs",
     [](const v1::Job& job, const auto& wanted) { return wanted.contains(StateWord(job)); }},
    {"account", 'A', "NAME", "jobs of this account",
     [](const v1::Job& job, const auto& wanted) { return wanted.contains(job.account()); }},
    {"qos", 'q', "NAME", "jobs of this QOS",
     [](const v1::Job& job, const auto& wanted) { return wanted.contains(job.qos()); }},
    {"reservation", 'R', "NAME", "jobs in this reservation",
     [](const v1::Job& job, const auto& wanted) { return wanted.contains(job.resources().reservation()); }},
    {"nodelist", 'w', "NODES", "jobs on any of these nodes",
     [](const v1::Job& job, const auto& wanted) {
       return std::ranges::any_of(job.nodes(), [&](const auto& node) { return wanted.contains(node); });
     }},
};

bool Chooses(const Parsed& options) {
  return options.Has("me") ||
         std::ranges::any_of(kChoices, [&](const Choice& one) { return options.Has(one.option); });
}

Command Declare() {
  Command command{
      .name = "slipway cancel",
      .summary = "end jobs, array tasks or steps, or send them a signal",
      .examples = {{"slipway cancel 12 13_4", "a job, and one task of an array"},
                   {"slipway cancel 12.0", "only step 0 of job 12"},
                   {"slipway cancel --signal USR1 12", "tell it something"},
                   {"slipway cancel --me", "all of the caller's jobs"}},
      .options = {{.name = "signal",
                   .letter = 's',
                   .type = Option::kString,
                   .value_name = "SIGNAL",
                   .help = "send this to the ranks instead of ending the job"},
                  {.name = "me", .help = "all of the caller's jobs"},
                  {.name = "quiet", .letter = 'Q', .help = "no word of jobs that have ended already"},
                  ContextOption()},
      .positionals = {{.name = "JOB[.STEP]", .arity = Positional::kMany, .complete = "job"}}};
  for (const Choice& one : kChoices)
    command.options.push_back({.name = one.option,
                               .letter = one.letter,
                               .type = Option::kList,
                               .value_name = one.value,
                               .help = one.help});
  const std::vector<Option> foreign = SlurmWords(SlurmCommand::kScancel);
  command.options.insert(command.options.end(), foreign.begin(), foreign.end());
  return command;
}

// The words that each choice was given; kInvalidArgument names what is no state or no list of nodes, and what
// is empty: it must not choose all.
Result<std::map<std::string, std::set<std::string>>> WordsGiven(const Parsed& options) {
  std::map<std::string, std::set<std::string>> given;
  for (const Choice& one : kChoices) {
    for (const std::string& list : options.List(one.option)) {
      if (std::string_view(one.option) == "nodelist") {
        given[one.option].merge(AsSet(TRY_CONTEXT(ExpandHostlist(list), "--nodelist")));
        continue;
      }
      for (std::string_view word : Split(list, ',')) given[one.option].emplace(Trim(word));
    }
    if (options.Has(one.option) && (given[one.option].empty() || given[one.option].contains("")))
      return Fail(Code::kInvalidArgument, "--", one.option, ": empty; it would choose no job or all of them");
  }
  std::set<std::string> states;
  for (std::string word : given["state"]) {
    std::ranges::transform(word, word.begin(), ::toupper);
    if (word == "PD") word = "PENDING";
    if (word == "R") word = "RUNNING";
    if (word == "S") word = "SUSPENDED";
    if (word != "PENDING" && word != "RUNNING" && word != "SUSPENDED")
      return Fail(Code::kInvalidArgument, "--state: '", word,
                  "'; PENDING, RUNNING and SUSPENDED can be chosen");
    states.insert(word);
  }
  given["state"] = states;
  std::erase_if(given, [](const auto& entry) { return entry.second.empty(); });
  return given;
}

Result<> CancelOne(Cluster& cluster, const std::string& text, int signal_number) {
  v1::CancelRequest request;
  auto dot = text.find('.');
  JobName name = TRY(ParseJobName(std::string_view(text).substr(0, dot)));
  request.set_job_id(name.has_task ? TRY(FindJob(cluster, text.substr(0, dot))).job_id() : name.job);
  if (dot != std::string::npos)
    request.set_step_id(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(std::string_view(text).substr(dot + 1), 0, UINT32_MAX), text)));
  request.set_signal(signal_number);
  TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Cancel, request));
  return {};
}

Result<std::vector<std::string>> Chosen(Cluster& cluster, const Parsed& options) {
  const std::vector<std::string>& named = options.positionals();
  if (!Chooses(options)) return named;
  const auto given = TRY(WordsGiven(options));
  std::vector<std::string> jobs;
  v1::ListJobsRequest request;
  request.set_has_uid_filter(options.Has("me"));
  request.set_uid_filter(::getuid());
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::List, request));
  for (const v1::Job& job : reply.jobs()) {
    bool taken = std::ranges::all_of(kChoices, [&](const Choice& one) {
      auto words = given.find(one.option);
      return words == given.end() || one.takes(job, words->second);
    });
    // Of jobs that are named as well only those that are both.
    const std::string id = Cat(job.job_id());
    taken = taken && (named.empty() || std::ranges::find(named, id) != named.end() ||
                      std::ranges::find(named, Cat(job.array_job_id())) != named.end());
    if (taken) jobs.push_back(id);
  }
  return jobs;
}

Result<int> Run(const Parsed& options) {
  auto number = options.Has("signal") ? SignalNumber(options.Value("signal")) : Result<int>(0);
  if (!number) return UsageExit(number.error());
  auto given = WordsGiven(options);
  if (!given) return UsageExit(given.error());
  if (options.positionals().empty() && !Chooses(options))
    return UsageExit(Error{Code::kInvalidArgument, 0, "slipway cancel: no JOB given; see --help"});
  Cluster cluster = TRY(Cluster::Of(options));
  int code = 0;
  for (const std::string& job : TRY(Chosen(cluster, options))) {
    auto cancelled = CancelOne(cluster, job, *number);
    if (cancelled) continue;
    // Of all jobs of a user some may end between the list and the word.
    bool named = !Chooses(options) && !options.Has("quiet");
    if (!named && cancelled.error().code == Code::kFailedPrecondition) continue;
    PrintError(std::move(cancelled).error().Context(Cat("job ", job)));
    code = kRefused;
  }
  return code;
}

}  // namespace

const Subcommand kCancel{{"cancel"}, Declare, Run};

}  // namespace slipway::cli
