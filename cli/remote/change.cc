// SPDX-License-Identifier: Apache-2.0
// slipway hold, release, requeue, suspend, resume, update: what may be changed of a job after its submission.
#include <chrono>
#include <functional>

#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "cli/script/array.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

std::vector<Positional> Jobs() { return {{.name = "JOB", .arity = Positional::kMany, .complete = "job"}}; }

Command DeclareHold() {
  return {.name = "slipway hold",
          .summary = "keep pending jobs from starting until they are released",
          .examples = {{"slipway hold 12 13_4", "a job, and one task of an array"}},
          .options = {ContextOption()},
          .positionals = Jobs()};
}
Command DeclareRelease() {
  return {.name = "slipway release",
          .summary = "let held jobs go on",
          .examples = {{"slipway release 12", "a job, or all tasks of an array"}},
          .options = {ContextOption()},
          .positionals = Jobs()};
}
Command DeclareRequeue() {
  return {.name = "slipway requeue",
          .summary = "end running batch jobs and start them again",
          .examples = {{"slipway requeue 12", "it is pending again, its next attempt runs in its turn"}},
          .options = {ContextOption()},
          .positionals = Jobs()};
}
Command DeclareSuspend() {
  return {.name = "slipway suspend",
          .summary = "let running jobs stand still; they keep their nodes (for administrators)",
          .examples = {{"slipway suspend 12", "its processes are stopped, and its time limit with them"}},
          .options = {ContextOption()},
          .positionals = Jobs()};
}
Command DeclareResume() {
  return {.name = "slipway resume",
          .summary = "let jobs that stand still go on (for administrators)",
          .examples = {{"slipway resume 12", ""}},
          .options = {ContextOption()},
          .positionals = Jobs()};
}
Command DeclareUpdate() {
  return {.name = "slipway update",
          .summary = "change priority, limits or begin of jobs",
          .examples = {{"slipway update 12 --nice 10", "let others go first"},
                       {"slipway update 12 13 --time 30m", "a shorter limit may start earlier"}},
          .options = {{.name = "nice",
                       .type = Option::kString,
                       .value_name = "N",
                       .help = "lower the priority by N"},
                      {.name = "priority",
                       .type = Option::kString,
                       .value_name = "N",
                       .help = "for administrators: higher first"},
                      {.name = "time",
                       .letter = 't',
                       .type = Option::kString,
                       .value_name = "LIMIT",
                       .help = "time limit: minutes, H:MM:SS, D-HH, 90s, 2h"},
                      {.name = "begin",
                       .letter = 'b',
                       .type = Option::kString,
                       .value_name = "TIME",
                       .help = "not before: now+2hours, 16:30, 2026-11-23T16:30"},
                      ContextOption()},
          .positionals = Jobs()};
}

Result<v1::ChangeJobRequest> UpdateOf(const Parsed& options) {
  v1::ChangeJobRequest request;
  if (options.Has("nice")) {
    std::string nice = options.Value("nice");
    bool negative = nice.starts_with("-");
    auto value = static_cast<std::int32_t>(
        TRY_CONTEXT(ParseNumber(std::string_view(nice).substr(negative ? 1 : 0), 0, 1'000'000), "--nice"));
    request.set_nice(negative ? -value : value);
  }
  if (options.Has("priority")) {
    request.set_priority(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(options.Value("priority"), 0, 1'000'000), "--priority")));
  }
  if (options.Has("time")) {
    std::chrono::seconds limit = TRY_CONTEXT(ParseTimeLimit(options.Value("time")), "--time");
    if (limit.count() > UINT32_MAX) return Fail(Code::kInvalidArgument, "--time: a limit is wanted");
    request.set_time_limit_s(static_cast<std::uint32_t>(limit.count()));
  }
  if (options.Has("begin")) {
    auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    request.set_begin_ms(TRY(ParseMoment(options.Value("begin"), now.count(), "--begin")));
  }
  if (!options.Has("nice") && !options.Has("priority") && !options.Has("time") && !options.Has("begin"))
    return Fail(Code::kInvalidArgument, "slipway update: nothing to change; see --help");
  return request;
}

// To each job in turn; one that refuses does not keep the others from it.
Result<int> ChangeAll(const Parsed& options, const Result<v1::ChangeJobRequest>& wanted,
                      const std::string& name) {
  if (!wanted) return UsageExit(wanted.error());
  if (options.positionals().empty())
    return UsageExit(Error{Code::kInvalidArgument, 0, Cat("slipway ", name, ": no JOB given; see --help")});
  Cluster cluster = TRY(Cluster::Of(options));
  int code = 0;
  for (const std::string& text : options.positionals()) {
    auto change = [&]() -> Result<> {
      v1::ChangeJobRequest request = *wanted;
      JobName job = TRY(ParseJobName(text));
      request.set_job_id(job.has_task ? TRY(FindJob(cluster, text)).job_id() : job.job);
      TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Change, request));
      return {};
    };
    Result<> changed = change();
    if (changed) continue;
    PrintError(std::move(changed).error().Context(Cat("job ", text)));
    code = kRefused;
  }
  return code;
}

Result<int> RunHold(const Parsed& options) {
  v1::ChangeJobRequest request;
  request.set_hold(true);
  return ChangeAll(options, request, "hold");
}
Result<int> RunRelease(const Parsed& options) {
  v1::ChangeJobRequest request;
  request.set_hold(false);
  return ChangeAll(options, request, "release");
}
Result<int> RunRequeue(const Parsed& options) {
  v1::ChangeJobRequest request;
  request.set_requeue(true);
  return ChangeAll(options, request, "requeue");
}
Result<int> RunSuspend(const Parsed& options) {
  v1::ChangeJobRequest request;
  request.set_suspend(true);
  return ChangeAll(options, request, "suspend");
}
Result<int> RunResume(const Parsed& options) {
  v1::ChangeJobRequest request;
  request.set_suspend(false);
  return ChangeAll(options, request, "resume");
}
Result<int> RunUpdate(const Parsed& options) { return ChangeAll(options, UpdateOf(options), "update"); }

}  // namespace

const Subcommand kHold{{"hold"}, DeclareHold, RunHold};
const Subcommand kRelease{{"release"}, DeclareRelease, RunRelease};
const Subcommand kRequeue{{"requeue"}, DeclareRequeue, RunRequeue};
const Subcommand kSuspend{{"suspend"}, DeclareSuspend, RunSuspend};
const Subcommand kResume{{"resume"}, DeclareResume, RunResume};
const Subcommand kUpdate{{"update"}, DeclareUpdate, RunUpdate};

}  // namespace slipway::cli
