// SPDX-License-Identifier: Apache-2.0
// scontrol: what is shown is asked for here; what changes something is one of our commands.
#include <poll.h>

#include <algorithm>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "cli/habits/field.h"
#include "cli/habits/habits.h"
#include "cli/habits/scontrol_words.h"
#include "cli/habits/show_records.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "slipway/v1/job.grpc.pb.h"
#include "slipway/v1/node.grpc.pb.h"
#include "slipway/v1/reservation.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr int kLookAgainMs = 200;
using Words = std::vector<std::string>;

Command Declare() {
  return {
      .name = "scontrol",
      .summary = "jobs, nodes, partitions and reservations, as Slurm's scontrol shows and changes them",
      .examples = {{"scontrol show job 12", "also node, partition, reservation, hostnames, hostlist"},
                   {"scontrol hold 12", "also release, requeue, suspend, resume, wait_job"},
                   {"scontrol update JobId=12 TimeLimit=2:00:00", ""},
                   {"scontrol update NodeName=n1 State=DRAIN Reason=memory", ""}},
      .options =
          {{.name = "oneliner", .letter = 'o', .help = "each record on one line"},
           {.name = "details", .letter = 'd', .hidden = true},
           {.name = "all", .letter = 'a', .hidden = true},
           {.name = "quiet", .letter = 'Q', .hidden = true},
           {.name = "clusters", .letter = 'M', .type = Option::kString, .value_name = "NAME", .hidden = true},
           ContextOption()},
      .positionals = {{.name = "COMMAND", .arity = Positional::kOne},
                      {.name = "WORD", .arity = Positional::kMany}},
      .stop_at_first_positional = false};
}

Failure Missing(const std::string& what, const std::string& name) {
  return Fail(Code::kNotFound, "there is no ", what, " ", name);
}

// Of `all` those that are named; all where none is.
template <class Records, class NameOf>
Result<std::string> ShowSome(const Records& all, const Words& names, const char* what, bool one_line,
                             NameOf name_of) {
  std::string text;
  for (const auto& record : all) {
    if (names.empty()) text += Text(RecordOf(record), one_line);
  }
  for (const std::string& name : names) {
    auto at = std::ranges::find_if(all, [&](const auto& record) { return name_of(record) == name; });
    if (at == all.end()) return Missing(what, name);
    text += Text(RecordOf(*at), one_line);
  }
  return text;
}

Result<std::string> ShowJobs(Cluster& cluster, const Words& names, bool one_line) {
  std::string text;
  if (names.empty()) {
    auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::List, v1::ListJobsRequest()));
    for (const v1::Job& job : reply.jobs()) text += Text(RecordOf(job), one_line);
    return text;
  }
  for (const std::string& name : names) text += Text(RecordOf(TRY(FindJob(cluster, name))), one_line);
  return text;
}

Result<std::string> ShowHosts(const std::string& what, const Words& names) {
  const char* own = ::getenv("SLURM_JOB_NODELIST");
  std::string list = !names.empty() ? Join(names, ",") : own != nullptr ? own : "";
  if (list.empty())
    return Fail(Code::kInvalidArgument, "scontrol show ", what,
                ": no list given, and this is not inside a job");
  Words hosts = TRY(ExpandHostlist(list));
  if (what == "hostnames") return Join(hosts, "\n") + "\n";
  if (what == "hostlistsorted") std::ranges::sort(hosts);
  return CompressHostlist(hosts) + "\n";
}

Result<std::string> Show(const Parsed& options, const Words& words) {
  static const char* const kAll[] = {"jobs",      "nodes",    "partitions",    "reservations",
                                     "hostnames", "hostlist", "hostlistsorted"};
  std::string entity = words.empty() ? "" : words[0];
  auto equals = entity.find('=');
  Words names(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (equals != std::string::npos)
    names.insert(names.begin(), entity.substr(equals + 1)), entity.resize(equals);
  std::ranges::transform(entity, entity.begin(), ::tolower);
  auto at = std::ranges::find_if(
      kAll, [&](std::string_view name) { return entity.size() >= 3 && name.starts_with(entity); });
  std::string what = at == std::end(kAll) ? entity : *at;
  if (entity == "jobid") what = "jobs";
  if (entity == "nodename") what = "nodes";
  if (what.starts_with("host")) return ShowHosts(entity == "hostlist" ? entity : what, names);
  bool one_line = options.Has("oneliner");
  Cluster cluster = TRY(Cluster::Of(options));
  if (what == "jobs") return ShowJobs(cluster, names, one_line);
  if (what == "nodes") {
    Words nodes = names.empty() ? names : TRY(ExpandHostlist(Join(names, ",")));
    auto reply = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::List, v1::ListNodesRequest()));
    return ShowSome(reply.nodes(), nodes, "node", one_line, [](const v1::Node& node) { return node.name(); });
  }
  if (what == "partitions") {
    auto reply = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::ListPartitions, v1::ListPartitionsRequest()));
    return ShowSome(reply.partitions(), names, "partition", one_line,
                    [](const auto& one) { return one.name(); });
  }
  if (what == "reservations") {
    auto reply =
        TRY(cluster.Call<v1::Reservations>(&v1::Reservations::Stub::List, v1::ListReservationsRequest()));
    if (reply.reservations().empty() && names.empty()) return std::string("No reservations in the system\n");
    return ShowSome(reply.reservations(), names, "reservation", one_line,
                    [](const auto& one) { return one.name(); });
  }
  return Fail(Code::kInvalidArgument, "scontrol show ", entity,
              ": job, node, partition, reservation, hostnames and hostlist are shown; settings by slipway "
              "config show");
}

Result<std::string> Ping(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  auto answer = cluster.Call<v1::Nodes>(&v1::Nodes::Stub::List, v1::ListNodesRequest());
  std::string text =
      Cat("slipwayd(primary) at ", cluster.context().controller, " is ", answer ? "UP" : "DOWN", "\n");
  if (answer) return text;
  Print(text);
  return Failure(std::move(answer).error());
}

// Until its nodes are its own and its program runs.
Result<int> WaitJob(const Parsed& options, const Words& words) {
  if (words.empty()) return UsageExit(Error{Code::kInvalidArgument, 0, "scontrol wait_job: no JOB given"});
  Cluster cluster = TRY(Cluster::Of(options));
  for (;;) {
    v1::Job job = TRY(FindJob(cluster, words[0]));
    if (job.ended()) return job.state() == v1::JOB_STATE_COMPLETED ? 0 : 1;
    if (job.state() != v1::JOB_STATE_PENDING && job.state() != v1::JOB_STATE_STARTING) return 0;
    ::poll(nullptr, 0, kLookAgainMs);
  }
}

Result<int> Run(const Parsed& options) {
  const Words& words = options.positionals();
  Words rest(words.begin() + 1, words.end());
  if (SameWord(words[0], "wait_job")) return WaitJob(options, rest);
  bool show = SameWord(words[0], "show"), ping = SameWord(words[0], "ping");
  if (show || ping) {
    auto text = show ? Show(options, rest) : Ping(options);
    if (!text && text.error().code == Code::kInvalidArgument) return UsageExit(text.error());
    Print(TRY(std::move(text)));
    return 0;
  }
  auto ours = ScontrolWords(words);
  if (!ours) return UsageExit(ours.error());
  if (ours->empty())
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           Cat("scontrol: '", words[0], "' is not known here; see scontrol --help")});
  if (options.Has("context")) ours->push_back("--context=" + options.Value("context"));
  return Dispatch(*ours, AllSubcommands(), {});
}

}  // namespace

const Subcommand kScontrol{{"scontrol"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
