// SPDX-License-Identifier: Apache-2.0
// sattach: what a job writes, as it writes it. The streams of a `launch` belong to the one who launched it:
// to take them away from him is not what who looks on means.
#include "base/text/text.h"
#include "cli/habits/habits.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "sattach",
          .summary = "follow a job's output (`slipway logs -f`)",
          .examples = {{"sattach 12.0", ""}},
          .options = {ContextOption()},
          .positionals = {{.name = "JOB[.STEP]", .arity = Positional::kOne, .complete = "job"}}};
}

Result<int> Run(const Parsed& options) {
  std::string name = options.positionals()[0];
  name.resize(std::min(name.find('.'), name.size()));
  Cluster cluster = TRY(Cluster::Of(options));
  v1::Job job = TRY(FindJob(cluster, name));
  if (job.stdout_path().empty())
    return Fail(Code::kFailedPrecondition, "job ", JobIdText(job),
                ": its output goes to the terminal that launched it; slipway exec --job ", JobIdText(job),
                " gets you into its container");
  std::vector<std::string> ours = {"logs", "-f", name};
  if (options.Has("context")) ours.push_back("--context=" + options.Value("context"));
  return Dispatch(ours, AllSubcommands(), {});
}

}  // namespace

const Subcommand kSattach{{"sattach"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
