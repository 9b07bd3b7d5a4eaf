// SPDX-License-Identifier: Apache-2.0
// slipway cancel: ends jobs, or sends them a signal.
#include <unistd.h>

#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/signal_name.h"
#include "cli/remote/subcommand.h"
#include "cli/script/array.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway cancel",
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
                      {.name = "user",
                       .letter = 'u',
                       .type = Option::kString,
                       .value_name = "NAME",
                       .help = "all jobs of this user"},
                      ContextOption()},
          .positionals = {{.name = "JOB[.STEP]", .arity = Positional::kMany, .complete = "job"}}};
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
  std::vector<std::string> jobs = options.positionals();
  if (!options.Has("me") && !options.Has("user")) return jobs;
  v1::ListJobsRequest request;
  request.set_has_uid_filter(options.Has("me"));
  request.set_uid_filter(::getuid());
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::List, request));
  for (const v1::Job& job : reply.jobs()) {
    if (!options.Has("user") || job.user() == options.Value("user")) jobs.push_back(Cat(job.job_id()));
  }
  return jobs;
}

Result<int> Run(const Parsed& options) {
  auto number = options.Has("signal") ? SignalNumber(options.Value("signal")) : Result<int>(0);
  if (!number) return UsageExit(number.error());
  if (options.positionals().empty() && !options.Has("me") && !options.Has("user"))
    return UsageExit(Error{Code::kInvalidArgument, 0, "slipway cancel: no JOB given; see --help"});
  Cluster cluster = TRY(Cluster::Of(options));
  int code = 0;
  for (const std::string& job : TRY(Chosen(cluster, options))) {
    auto cancelled = CancelOne(cluster, job, *number);
    if (cancelled) continue;
    // Of all jobs of a user some may end between the list and the word.
    bool named = !options.Has("me") && !options.Has("user");
    if (!named && cancelled.error().code == Code::kFailedPrecondition) continue;
    PrintError(std::move(cancelled).error().Context(Cat("job ", job)));
    code = kRefused;
  }
  return code;
}

}  // namespace

const Subcommand kCancel{{"cancel"}, Declare, Run};

}  // namespace slipway::cli
