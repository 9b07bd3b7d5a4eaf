// SPDX-License-Identifier: Apache-2.0
// slipway jobs: what is queued and running, as one table.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/script/array.h"
#include "cli/show/json.h"
#include "cli/show/table.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway jobs",
          .summary = "list queued and running jobs",
          .examples = {{"slipway jobs", "all that is queued or runs"},
                       {"slipway jobs --me --all", "mine, ended ones too"},
                       {"slipway jobs --json", "for programs"}},
          .options = {{.name = "all", .letter = 'a', .help = "ended jobs too"},
                      {.name = "me", .help = "only the caller's jobs"},
                      {.name = "user",
                       .letter = 'u',
                       .type = Option::kString,
                       .value_name = "NAME",
                       .help = "only that user's jobs"},
                      {.name = "states",
                       .letter = 't',
                       .type = Option::kString,
                       .value_name = "LIST",
                       .help = "only jobs in these states: PENDING,RUNNING; all"},
                      {.name = "jobs",
                       .letter = 'j',
                       .type = Option::kString,
                       .value_name = "LIST",
                       .help = "only these jobs"},
                      {.name = "noheader", .letter = 'h', .help = "no line of headings"},
                      JsonOption(),
                      ContextOption()}};
}

std::string Where(const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_PENDING || job.nodes().empty())
    return job.reason().empty() ? "" : Cat("(", job.reason(), ")");
  return CompressHostlist(std::vector<std::string>(job.nodes().begin(), job.nodes().end()));
}

std::string Elapsed(const v1::Job& job, std::int64_t now_ms) {
  if (job.start_ms() == 0) return "0:00";
  std::int64_t end = job.end_ms() != 0 ? job.end_ms() : now_ms;
  return FormatTimeLimit(std::chrono::seconds(std::max<std::int64_t>(end - job.start_ms(), 0) / 1000));
}

Result<v1::ListJobsReply> Filtered(v1::ListJobsReply reply, const Parsed& options) {
  std::set<std::string> states, ids;
  std::string wanted = options.Value("states");
  std::transform(wanted.begin(), wanted.end(), wanted.begin(), ::toupper);
  if (!wanted.empty() && wanted != "ALL") {
    for (const std::string& state : Split(wanted, ',')) states.insert(state);
  }
  if (options.Has("jobs")) {
    for (const std::string& id : Split(options.Value("jobs"), ',')) ids.insert(id);
  }
  v1::ListJobsReply kept;
  for (v1::Job& job : *reply.mutable_jobs()) {
    if (options.Has("user") && job.user() != options.Value("user") && Cat(job.uid()) != options.Value("user"))
      continue;
    if (!states.empty() && !states.contains(StateName(job.state()))) continue;
    if (!ids.empty() && !ids.contains(JobIdText(job)) && !ids.contains(Cat(job.job_id())) &&
        !ids.contains(Cat(job.array_job_id())))
      continue;
    *kept.add_jobs() = std::move(job);
  }
  return kept;
}

// The pending tasks of an array are one line with the first one's reason, as squeue has it: 12_[3-100%4].
// Held ones are another.
struct Line {
  const v1::Job* job;
  std::vector<std::uint32_t> tasks;  // of an array, pending
};
std::vector<Line> LinesOf(const v1::ListJobsReply& reply) {
  std::vector<Line> lines;
  std::map<std::pair<std::uint64_t, bool>, std::size_t> pending;  // by array and held
  for (const v1::Job& job : reply.jobs()) {
    bool folds = job.state() == v1::JOB_STATE_PENDING && job.array_job_id() != 0;
    std::size_t place = lines.size();
    if (folds) place = pending.try_emplace({job.array_job_id(), job.held()}, place).first->second;
    if (place == lines.size()) lines.push_back({&job, {}});
    if (!folds) continue;
    Line& line = lines[place];
    std::vector<std::uint32_t> tasks = TasksOf(job);
    if (tasks.empty()) tasks.push_back(job.array_task_id());
    bool earlier = job.array_waiting_size() == 0 &&
                   (line.job->array_waiting_size() > 0 || job.job_id() < line.job->job_id());
    if (earlier) line.job = &job;
    line.tasks.insert(line.tasks.end(), tasks.begin(), tasks.end());
  }
  for (Line& line : lines) std::ranges::sort(line.tasks);
  return lines;
}

std::string IdOf(const Line& line) {
  const v1::Job& job = *line.job;
  if (line.tasks.empty() || (line.tasks.size() == 1 && job.array_waiting_size() == 0)) return JobIdText(job);
  std::string most = job.array_max_running() > 0 ? Cat("%", job.array_max_running()) : "";
  return Cat(job.array_job_id(), "_[", ArrayText(line.tasks), most, "]");
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::ListJobsRequest request;
  request.set_all(options.Has("all") || options.Has("states") || options.Has("jobs"));
  request.set_has_uid_filter(options.Has("me"));
  request.set_uid_filter(::getuid());
  auto reply = TRY(Filtered(TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::List, request)), options));
  if (options.Has("json")) {
    Print(JobsJson(reply));
    return 0;
  }
  auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                 std::chrono::system_clock::now().time_since_epoch())
                 .count();
  Table table({{"JOBID", true},
               {"NAME"},
               {"USER"},
               {"STATE"},
               {"TIME", true},
               {"TASKS", true},
               {"NODES", true},
               {"WHERE (WHY)"}});
  for (const Line& line : LinesOf(reply)) {
    const v1::Job& job = *line.job;
    int nodes = std::max(job.nodes_size(), static_cast<int>(job.resources().nodes_min()));
    table.Add({IdOf(line), job.name(), job.user(), StateName(job.state()), Elapsed(job, now),
               Cat(std::max(job.resources().tasks(), 1U)), Cat(nodes), Where(job)});
  }
  std::string text = table.Text(WantsColour(1));
  Print(options.Has("noheader") ? text.substr(text.find('\n') + 1) : text);
  return 0;
}

}  // namespace

const Subcommand kJobs{{"jobs"}, Declare, Run};

}  // namespace slipway::cli
