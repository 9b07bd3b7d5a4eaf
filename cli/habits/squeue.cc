// SPDX-License-Identifier: Apache-2.0
// squeue: the queue in the columns that a script asks for.
#include <poll.h>

#include <algorithm>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/habits/habits.h"
#include "cli/habits/job_fields.h"
#include "cli/habits/job_filter.h"
#include "cli/habits/sort.h"
#include "cli/habits/words.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr const char* kUsual = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
constexpr const char* kLong = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R";
constexpr const char* kStart = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R";

Command Declare() {
  Command command{.name = "squeue",
                  .summary = "the queue, as Slurm's squeue shows it (`slipway jobs` is ours)",
                  .examples = {{"squeue -u ann -t PENDING", "what waits of her"},
                               {"squeue -h -j 12 -o %T", "a job's state, for a script"}},
                  .options = JobFilterOptions()};
  std::vector<Option> more = {
      TextOption("states", 't', "LIST", "only jobs in these states: PD,RUNNING; all"),
      TextOption("format", 'o', "FORMAT", "columns by letters: \"%.18i %T\""),
      TextOption("Format", 'O', "LIST", "columns by names: JobID:12,State"),
      TextOption("sort", 'S', "LETTERS",
                 "in the order of these columns: P,-p,i; without it what waits comes first, by priority"),
      TextOption("reservation", 'R', "LIST", "only jobs in these reservations"),
      TextOption("iterate", 'i', "SECONDS", "again and again"),
      {.name = "noheader", .letter = 'h', .help = "no headings"},
      {.name = "long", .letter = 'l', .help = "with time limits"},
      {.name = "start", .help = "when what waits is planned to start"},
      {.name = "all", .letter = 'a', .hidden = true},
      {.name = "array", .letter = 'r', .hidden = true},
      {.name = "noconvert", .hidden = true},
      JsonOption()};
  for (const std::vector<Option>& options : {more, SlurmWords(SlurmCommand::kSqueue)})
    command.options.insert(command.options.end(), options.begin(), options.end());
  return command;
}

Result<Format> FormatOf(const Parsed& options) {
  auto fields = JobFields();
  if (options.Has("Format")) return ParseNames(options.Value("Format"), NameIn(fields));
  const char* usual = options.Has("start") ? kStart : options.Has("long") ? kLong : kUsual;
  const char* site = ::getenv("SQUEUE_FORMAT");
  bool own = !options.Has("start") && !options.Has("long") && site != nullptr && *site != 0;
  return ParseLetters(options.Value("format", own ? site : usual), LetterIn(fields));
}

// What waits comes first, the next one on top; then the rest by number.
bool Before(const v1::Job& a, const v1::Job& b) {
  auto rank = [](const v1::Job& job) {
    bool waits = job.state() == v1::JOB_STATE_PENDING;
    return std::tuple(waits ? 0 : 1, waits ? -job.priority() : 0, job.job_id());
  };
  return rank(a) < rank(b);
}

bool InReservation(const Parsed& options, const v1::Job& job) {
  const std::set<std::string> wanted = WordsOf(options, "reservation");
  return wanted.empty() || wanted.contains(job.resources().reservation());
}

Result<std::string> Queue(Cluster& cluster, const Parsed& options, const JobFilter& filter,
                          const Format& format, const std::vector<SortKey>& order) {
  // Whoever names a job wants to know of its end, too.
  bool ended = !filter.ids.empty() || std::ranges::any_of(filter.states, Ended);
  std::vector<v1::Job> jobs = TRY(JobsThat(cluster, filter, ended));
  if (options.Has("start"))
    std::erase_if(jobs, [](const v1::Job& job) { return job.state() != v1::JOB_STATE_PENDING; });
  if (options.Has("json")) {
    v1::ListJobsReply reply;
    for (v1::Job& job : jobs) *reply.add_jobs() = std::move(job);
    return JobsJson(reply);
  }
  std::erase_if(jobs, [&](const v1::Job& job) { return !InReservation(options, job); });
  std::ranges::stable_sort(jobs, Before);
  SortBy<v1::Job>(order, jobs,
                  [](const v1::Job& job, int field) { return TextsOf(JobFields(), job)(field); });
  std::string text = options.Has("noheader") ? "" : Line(format, HeadingsOf(JobFields()));
  for (const v1::Job& job : jobs) text += Line(format, TextsOf(JobFields(), job));
  return text;
}

Result<int> Run(const Parsed& options) {
  auto format = FormatOf(options);
  if (!format) return UsageExit(format.error());
  auto filter = JobFilterOf(options);
  if (!filter) return UsageExit(filter.error());
  auto order = options.Has("sort") ? ParseSort(options.Value("sort"), LetterIn(JobFields()))
                                   : Result<std::vector<SortKey>>(std::vector<SortKey>());
  if (!order) return UsageExit(order.error());
  if (options.Has("states")) {
    auto states = StatesOf(options.Value("states"));
    if (!states) return UsageExit(states.error());
    filter->states = *states;
  }
  std::uint64_t again = 0;
  if (options.Has("iterate"))
    again = TRY_CONTEXT(ParseNumber(options.Value("iterate"), 1, 86400), "--iterate");
  Cluster cluster = TRY(Cluster::Of(options));
  for (;;) {
    Print(TRY(Queue(cluster, options, *filter, *format, *order)));
    if (again == 0) return 0;
    ::poll(nullptr, 0, static_cast<int>(again * 1000));
  }
}

}  // namespace

const Subcommand kSqueue{{"squeue"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
