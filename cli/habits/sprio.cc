// SPDX-License-Identifier: Apache-2.0
// sprio: the priorities of what waits; `slipway why ID` has the arithmetic.
#include <algorithm>

#include "cli/habits/habits.h"
#include "cli/habits/job_fields.h"
#include "cli/habits/job_filter.h"
#include "cli/remote/subcommand.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr const char* kUsual = "%.15i %.9r %.8u %.10Y";
constexpr const char* kLong = "%.15i %.9r %.8u %.10o %.10n %.10Y %a";

// The arithmetic is asked for by job only where it is shown.
struct Priority {
  const v1::Job* job = nullptr;
  std::string sum;
};
constexpr Field<Priority> kFields[] = {
    {"JobID", 'i', "JOBID", 15, [](const Priority& p) { return Cat(p.job->job_id()); }},
    {"Partition", 'r', "PARTITION", 9, [](const Priority& p) { return p.job->resources().partition(); }},
    {"User", 'u', "USER", 8, [](const Priority& p) { return p.job->user(); }},
    {"Account", 'o', "ACCOUNT", 10, [](const Priority& p) { return p.job->account(); }},
    {"QOSName", 'n', "QOS", 10, [](const Priority& p) { return p.job->qos(); }},
    {"Priority", 'Y', "PRIORITY", 10, [](const Priority& p) { return Cat(p.job->priority()); }},
    {"Sum", 'a', "FACTORS", 40, [](const Priority& p) { return p.sum; }},
};
constexpr std::span<const Field<Priority>> kTable = kFields;

Command Declare() {
  Command command{.name = "sprio",
                  .summary = "priorities of what waits, as Slurm's sprio (`slipway why ID` is ours)",
                  .examples = {{"sprio -l", "with the factors"}, {"sprio -h -j 12 -o %Y", "for a script"}},
                  .options = JobFilterOptions()};
  for (Option& option : command.options) {
    if (option.name == "name") option.letter = 0;
  }
  std::vector<Option> more = {TextOption("format", 'o', "FORMAT", "columns by letters: i r u o n Y a"),
                              {.name = "long", .letter = 'l', .help = "with the factors"},
                              {.name = "noheader", .letter = 'h', .help = "no headings"}};
  command.options.insert(command.options.end(), more.begin(), more.end());
  return command;
}

Result<int> Run(const Parsed& options) {
  auto filter = JobFilterOf(options);
  if (!filter) return UsageExit(filter.error());
  filter->states = {v1::JOB_STATE_PENDING};
  auto format = ParseLetters(options.Value("format", options.Has("long") ? kLong : kUsual), LetterIn(kTable));
  if (!format) return UsageExit(format.error());
  bool sums = std::ranges::any_of(*format, [](const Piece& piece) {
    return piece.field >= 0 && kFields[static_cast<std::size_t>(piece.field)].letter == 'a';
  });
  Cluster cluster = TRY(Cluster::Of(options));
  std::string text = options.Has("noheader") ? "" : Line(*format, HeadingsOf(kTable));
  for (const v1::Job& job : TRY(JobsThat(cluster, *filter, false))) {
    Priority one{.job = &job};
    v1::GetJobRequest request;
    request.set_job_id(job.job_id());
    if (sums) one.sum = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Explain, request)).priority();
    text += Line(*format, TextsOf(kTable, one));
  }
  Print(text);
  return 0;
}

}  // namespace

const Subcommand kSprio{{"sprio"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
