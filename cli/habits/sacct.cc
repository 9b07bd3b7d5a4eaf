// SPDX-License-Identifier: Apache-2.0
// sacct: what slipwayd remembers of jobs and their steps.
#include <unistd.h>

#include <cstdlib>

#include "base/text/text.h"
#include "cli/habits/habits.h"
#include "cli/habits/job_filter.h"
#include "cli/habits/sacct_fields.h"
#include "cli/habits/words.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"
#include "launcher/client/user.h"

namespace slipway::cli {
namespace {

constexpr const char* kUsual = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode";
constexpr const char* kBrief = "JobID,State,ExitCode";

Command Declare() {
  Command command{.name = "sacct",
                  .summary = "what jobs did, as Slurm's sacct shows it (`slipway job ID` is ours)",
                  .examples = {{"sacct -j 12", "a job with its steps"},
                               {"sacct -nXj 12 -o state", "its state, for a script"},
                               {"sacct -u ann -S now-2days -P -o jobid,state,elapsed,maxrss", "parsable"}},
                  .options = JobFilterOptions()};
  // sacct says -n, -N, -p and -w otherwise than squeue.
  for (Option& option : command.options) {
    if (option.name == "name" || option.name == "qos") option.letter = 0;
    if (option.name == "nodelist") option.letter = 'N';
    if (option.name == "partition") option.letter = 'r';
  }
  std::vector<Option> more = {
      TextOption("state", 's', "LIST", "only jobs in these states: CD,FAILED"),
      TextOption("starttime", 'S', "TIME", "jobs that were there after it; default: today"),
      TextOption("endtime", 'E', "TIME", "jobs that were there before it"),
      TextOption("format", 'o', "LIST", "columns: jobid,state%20,elapsed"),
      TextOption("delimiter", 0, "TEXT", "of -p and -P; one character"),
      {.name = "noheader", .letter = 'n', .help = "no headings"},
      {.name = "allocations", .letter = 'X', .help = "no steps"},
      {.name = "parsable", .letter = 'p', .help = "columns end with |"},
      {.name = "parsable2", .letter = 'P', .help = "columns have | between them"},
      {.name = "brief", .letter = 'b', .help = "number, state and exit code"},
      {.name = "allusers", .letter = 'a', .help = "everybody's jobs"},
      {.name = "helpformat", .letter = 'e', .help = "the columns that there are"},
      {.name = "duplicates", .letter = 'D', .hidden = true},
      {.name = "allclusters", .letter = 'L', .hidden = true},
      {.name = "array", .hidden = true},
      {.name = "truncate", .letter = 'T', .hidden = true},
      {.name = "noconvert", .hidden = true},
      {.name = "accounts", .type = Option::kList, .value_name = "LIST", .hidden = true}};
  for (const std::vector<Option>& options : {more, SlurmWords(SlurmCommand::kSacct)})
    command.options.insert(command.options.end(), options.begin(), options.end());
  return command;
}

struct Wanted {
  JobFilter filter;
  Format format;
  TableStyle style;
  std::int64_t from_ms = 0, until_ms = 0;
};

Result<Wanted> WantedOf(const Parsed& options) {
  auto fields = JobLineFields();
  Wanted wanted{.filter = TRY(JobFilterOf(options))};
  wanted.filter.accounts.merge(WordsOf(options, "accounts"));
  if (wanted.filter.users.empty() && wanted.filter.ids.empty() && !options.Has("allusers") &&
      ::geteuid() != 0)
    wanted.filter.users.insert(CallingUser().name);
  if (options.Has("state")) wanted.filter.states = TRY(StatesOf(options.Value("state")));
  const char* site = ::getenv("SACCT_FORMAT");
  std::string usual = options.Has("brief") ? kBrief : site != nullptr && *site != 0 ? site : kUsual;
  wanted.format = TRY(ParseTable(options.Value("format", usual), NameIn(fields), WidthsOf(fields)));
  wanted.style.header = !options.Has("noheader");
  std::string delimiter = options.Value("delimiter", "|");
  if (delimiter.size() != 1)
    return Fail(Code::kInvalidArgument, "--delimiter=", delimiter, ": one character, please");
  if (options.Has("parsable") || options.Has("parsable2")) wanted.style.delimiter = delimiter[0];
  wanted.style.trailing = options.Has("parsable") && !options.Has("parsable2");
  std::int64_t now = NowMs();
  // Whoever names jobs means them whenever they were.
  bool ever = !wanted.filter.ids.empty() && !options.Has("starttime");
  wanted.from_ms = ever ? 0 : TRY(PastMoment(options.Value("starttime", "today"), now, "--starttime"));
  wanted.until_ms =
      options.Has("endtime") ? TRY(PastMoment(options.Value("endtime"), now, "--endtime")) : now + 1;
  return wanted;
}

// It was there, waiting, running or ending, in that time.
bool WasThere(const v1::Job& job, const Wanted& wanted) {
  bool after = job.end_ms() == 0 || job.end_ms() >= wanted.from_ms;
  return after && job.submit_ms() <= wanted.until_ms;
}

Result<int> Run(const Parsed& options) {
  if (options.Has("helpformat")) {
    std::string text;
    for (const auto& field : JobLineFields()) text += Cat(field.name, "\n");
    Print(text);
    return 0;
  }
  auto wanted = WantedOf(options);
  if (!wanted) return UsageExit(wanted.error());
  auto fields = JobLineFields();
  Cluster cluster = TRY(Cluster::Of(options));
  std::string text = TableHead(wanted->format, wanted->style, HeadingsOf(fields));
  for (const v1::Job& job : TRY(JobsThat(cluster, wanted->filter, true))) {
    if (!WasThere(job, *wanted)) continue;
    JobLine line{.job = &job};
    text += TableLine(wanted->format, wanted->style, TextsOf(fields, line));
    if (options.Has("allocations")) continue;
    for (const v1::Step& step : job.steps()) {
      JobLine of_step{.job = &job, .step = &step};
      text += TableLine(wanted->format, wanted->style, TextsOf(fields, of_step));
    }
  }
  Print(text);
  return 0;
}

}  // namespace

const Subcommand kSacct{{"sacct"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
