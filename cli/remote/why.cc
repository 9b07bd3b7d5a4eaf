// SPDX-License-Identifier: Apache-2.0
// slipway why: all reasons for which a job waits, and what would help.
#include <nlohmann/json.hpp>

#include "base/text/hostlist.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
#include "cli/show/table.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway why",
          .summary = "why a job waits, when it will start, and what would make it start earlier",
          .examples = {{"slipway why 12", "a job"},
                       {"slipway why 12_3", "task 3 of array 12"},
                       {"slipway why 12 --json", "for programs"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {{.name = "JOB", .arity = Positional::kOne, .complete = "job"}}};
}

std::string Text(const v1::Explanation& why, const std::string& name) {
  if (why.state() != "PENDING") return Cat("job ", name, " does not wait: it is ", why.state(), "\n");
  std::string text = Cat("job ", name, " waits:\n");
  for (const std::string& reason : why.reasons()) text += Cat("  - ", Printable(reason), "\n");
  if (why.reasons().empty()) text += "  - it is being considered\n";
  if (why.ahead() > 0) {
    text += "ahead of it:";
    for (const std::string& job : why.first_ahead()) text += Cat(" ", job);
    text += why.ahead() > static_cast<std::uint64_t>(why.first_ahead_size()) ? " …\n" : "\n";
  }
  if (why.planned_start_ms() != 0) {
    std::vector<std::string> nodes(why.planned_nodes().begin(), why.planned_nodes().end());
    text += Cat("planned: starts by ", FormatMoment(why.planned_start_ms()), " on ", CompressHostlist(nodes),
                "\n");
  } else if (why.not_before_ms() != 0) {
    text +=
        Cat("not planned yet; if it were next, it would start by ", FormatMoment(why.not_before_ms()), "\n");
  }
  for (const v1::EarlierStart& earlier : why.earlier_starts()) {
    text += Cat("it would help: ", earlier.change());
    if (earlier.now()) {
      text += " it would fit now\n";
    } else {
      text +=
          Cat(why.planned_start_ms() != 0 ? " it would start by " : ", if it were next, it would start by ",
              FormatMoment(earlier.start_ms()), "\n");
    }
  }
  return text + Cat("priority: ", why.priority(), "\n");
}

std::string Json(const v1::Explanation& why) {
  nlohmann::ordered_json json = {{"job_id", why.job_id()},
                                 {"state", why.state()},
                                 {"reasons", why.reasons()},
                                 {"ahead", why.ahead()},
                                 {"first_ahead", why.first_ahead()}};
  json["planned_start_ms"] = why.planned_start_ms();
  json["planned_nodes"] = why.planned_nodes();
  json["not_before_ms"] = why.not_before_ms();
  json["suggestions"] = why.suggestions();
  json["earlier_starts"] = nlohmann::ordered_json::array();
  for (const v1::EarlierStart& earlier : why.earlier_starts())
    json["earlier_starts"].push_back(
        {{"change", earlier.change()}, {"start_ms", earlier.start_ms()}, {"now", earlier.now()}});
  json["priority"] = why.priority();
  return json.dump(2) + "\n";
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::GetJobRequest request;
  request.set_job_id(TRY(FindJob(cluster, options.positionals()[0])).job_id());
  v1::Explanation why = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Explain, request));
  Print(options.Has("json") ? Json(why) : Text(why, options.positionals()[0]));
  return 0;
}

}  // namespace

const Subcommand kWhy{{"why"}, Declare, Run};

}  // namespace slipway::cli
