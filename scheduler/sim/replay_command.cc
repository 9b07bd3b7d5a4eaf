// SPDX-License-Identifier: Apache-2.0
// slipway-sim replay: the words, and the figures in print.
#include <cstdio>

#include "base/text/text.h"
#include "base/text/units.h"
#include "scheduler/sim/arguments.h"
#include "scheduler/sim/replay.h"

namespace slipway::scheduler {
namespace {

struct Wanted {
  std::string path, policy;
  ReplayOptions options;
  std::vector<std::size_t> windows;  // first jobs; empty: the whole trace
  std::size_t window_jobs = 1024;
  bool backfill = true, json = false;
};

Result<std::vector<std::size_t>> ParseWindows(const std::string& text) {
  std::vector<std::size_t> windows;
  for (const std::string& word : Split(text, ',')) {
    windows.push_back(TRY_CONTEXT(ParseNumber(word, 0, UINT32_MAX), "--windows"));
  }
  return windows;
}

Result<Wanted> Parse(const std::vector<std::string>& words) {
  Arguments given = TRY(
      Arguments::Parse(words, {"--swf", "--procs", "--policy", "--estimates", "--windows", "--window-jobs"},
                       {"--no-backfill", "--json"}));
  Wanted wanted;
  wanted.path = given.Text("--swf");
  if (wanted.path.empty()) return Fail(Code::kInvalidArgument, "--swf FILE is missing");
  if (!given.Has("--procs")) return Fail(Code::kInvalidArgument, "--procs P is missing");
  wanted.options.processors = static_cast<std::int64_t>(TRY(given.Number("--procs", 0, 1, 1'000'000'000)));
  wanted.policy = given.Text("--policy", "easy");
  if (plan::MakePolicy(wanted.policy) == nullptr) {
    std::string near = NearestWord(wanted.policy, plan::PolicyNames());
    return Fail(Code::kInvalidArgument, "unknown policy ", wanted.policy, "; there are ",
                Join(plan::PolicyNames(), ", "),
                near.empty() ? std::string() : Cat(" (did you mean ", near, "?)"));
  }
  std::string estimates = given.Text("--estimates", "user");
  if (estimates != "user" && estimates != "exact")
    return Fail(Code::kInvalidArgument, "--estimates is user or exact, not ", estimates);
  wanted.options.exact_estimates = estimates == "exact";
  if (given.Has("--windows")) {
    wanted.windows = TRY(ParseWindows(given.Text("--windows")));
    wanted.options.ends_before_submits = false;
  }
  wanted.window_jobs = TRY(given.Number("--window-jobs", 1024, 1, UINT32_MAX));
  wanted.backfill = !given.Has("--no-backfill");
  wanted.json = given.Has("--json");
  return wanted;
}

Result<ReplayFigures> RunAll(const Wanted& wanted) {
  Trace trace = TRY(ReadSwf(wanted.path));
  if (trace.jobs.empty()) return Fail(Code::kInvalidArgument, wanted.path, ": no job in it");
  std::vector<std::size_t> starts = wanted.windows;
  std::size_t count = wanted.window_jobs;
  if (starts.empty()) {
    starts = {0};
    count = trace.jobs.size();
  }
  std::vector<ReplayResult> runs;
  for (std::size_t start : starts) {
    if (start + count > trace.jobs.size()) {
      return Fail(Code::kInvalidArgument, "the window of ", count, " jobs at ", start,
                  " goes beyond the trace's ", trace.jobs.size(), " jobs");
    }
    auto policy = plan::MakePolicy(wanted.policy);
    if (!wanted.backfill) policy = plan::WithoutBackfill(std::move(policy));
    runs.push_back(Replay(trace, start, count, wanted.options, std::move(policy)));
  }
  return FiguresOf(runs, wanted.options.processors);
}

void Print(const ReplayFigures& f, bool json) {
  using Row = std::pair<const char*, double>;
  const Row whole[] = {{"jobs", static_cast<double>(f.jobs)}, {"skipped", static_cast<double>(f.skipped)}};
  const Row figures[] = {{"bsld_avg", f.bsld_avg},
                         {"bsld_max", f.bsld_max},
                         {"flow_avg_s", f.flow_avg_s},
                         {"stretch_avg", f.stretch_avg},
                         {"wait_avg_s", f.wait_avg_s},
                         {"utilisation", f.utilisation},
                         {"makespan_s", f.makespan_s},
                         {"passes", static_cast<double>(f.passes)},
                         {"promises_broken", static_cast<double>(f.promises_broken)},
                         {"cpu_s", f.cpu_s}};
  auto print = [json, first = true](const Row& row) mutable {
    bool counts =
        row.second == static_cast<double>(static_cast<std::int64_t>(row.second)) && row.first[0] != 'b';
    std::printf(json ? "%s\"%s\": %.*f" : "%s%-16s %.*f", json ? (first ? "{" : ", ") : (first ? "" : "\n"),
                row.first, counts ? 0 : 6, row.second);
    first = false;
  };
  for (const Row& row : whole) print(row);
  for (const Row& row : figures) print(row);
  std::puts(json ? "}" : "");
}

}  // namespace

int ReplayCommand(const std::vector<std::string>& words) {
  Result<Wanted> wanted = Parse(words);
  if (!wanted) {
    std::fprintf(stderr, "slipway-sim replay: %s; see slipway-sim --help\n", wanted.error().message.c_str());
    return 2;
  }
  Result<ReplayFigures> figures = RunAll(*wanted);
  if (!figures) {
    std::fprintf(stderr, "slipway-sim replay: %s\n", figures.error().message.c_str());
    return 1;
  }
  Print(*figures, wanted->json);
  return 0;
}

}  // namespace slipway::scheduler
