// SPDX-License-Identifier: Apache-2.0
// The simulator against a scheduler of the plainest kind, which keeps lists and looks at all of them each
// time, and against published figures where the traces are at hand.
#include "scheduler/sim/replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>

namespace slipway::scheduler {
namespace {

struct Rule {
  std::function<double(const TraceJob&, std::int64_t length)> order;  // of choosing; ties by submission
  bool shortest_first = false;  // who overtakes first; else in order of submission
  bool overtake = true;
  bool extra = true;  // may run past the first one's start on what it leaves
  bool keeps = false;
};

class Plain {
 public:
  Plain(const Trace& trace, const ReplayOptions& options, Rule rule)
      : trace_(trace), options_(options), rule_(std::move(rule)), starts_(trace.jobs.size(), -1) {}

  std::vector<std::int64_t> Run() {
    std::size_t next = 0;
    while (next < trace_.jobs.size() || !running_.empty()) {
      std::int64_t now = INT64_MAX;
      if (next < trace_.jobs.size()) now = trace_.jobs[next].submit_s;
      for (const Running& r : running_) now = std::min(now, r.end);
      for (Running& r : running_) r.gone = r.gone || (options_.ends_before_submits && r.planned <= now);
      for (; next < trace_.jobs.size() && trace_.jobs[next].submit_s == now; ++next) {
        waiting_.push_back(next);
        Pass(now);
      }
      for (;;) {
        auto first = std::ranges::find_if(running_, [&](const Running& r) { return r.end == now; });
        if (first == running_.end()) break;
        running_.erase(first);
        Pass(now);
      }
    }
    return starts_;
  }

 private:
  struct Running {
    std::int64_t end, planned, processors;
    bool gone;
  };
  std::int64_t LengthOf(std::size_t job) const {
    return options_.exact_estimates ? trace_.jobs[job].run_s : trace_.jobs[job].estimate_s;
  }
  std::int64_t Free() const {
    std::int64_t free = options_.processors;
    for (const Running& r : running_) free -= r.gone ? 0 : r.processors;
    return free;
  }
  void Start(std::size_t job, std::int64_t now) {
    const TraceJob& from = trace_.jobs[job];
    starts_[job] = now;
    running_.push_back({now + from.run_s, now + LengthOf(job), from.processors, false});
    std::erase(waiting_, job);
  }
  std::size_t First() const {
    if (rule_.keeps && std::ranges::find(waiting_, kept_) != waiting_.end()) return kept_;
    return *std::ranges::min_element(waiting_, {}, [&](std::size_t job) {
      return std::pair(rule_.order(trace_.jobs[job], LengthOf(job)), job);
    });
  }

  void Pass(std::int64_t now) {
    while (!waiting_.empty() && trace_.jobs[First()].processors <= Free()) Start(First(), now);
    if (waiting_.empty()) return;
    std::size_t first = kept_ = First();
    if (!rule_.overtake) return;
    std::int64_t shadow = INT64_MAX, wanted = trace_.jobs[first].processors;
    for (const Running& r : running_) {  // the first planned end at which there is enough
      std::int64_t then = options_.processors;
      for (const Running& other : running_)
        then -= other.gone || other.planned <= r.planned ? 0 : other.processors;
      if (then >= wanted) shadow = std::min(shadow, r.planned);
    }
    std::int64_t extra = options_.processors - wanted;
    for (const Running& r : running_) extra -= r.gone || r.planned <= shadow ? 0 : r.processors;
    std::vector<std::size_t> others = waiting_;
    std::erase(others, first);
    if (rule_.shortest_first)
      std::ranges::stable_sort(others, {}, [&](std::size_t job) { return LengthOf(job); });
    for (std::size_t job : others) {
      std::int64_t processors = trace_.jobs[job].processors, end = now + LengthOf(job);
      bool in_time = rule_.extra ? end <= shadow : end < shadow;
      if (processors > Free() || !(in_time || (rule_.extra && processors <= extra))) continue;
      if (!in_time) extra -= processors;
      Start(job, now);
    }
  }

  const Trace& trace_;
  const ReplayOptions& options_;
  Rule rule_;
  std::vector<std::int64_t> starts_;
  std::vector<std::size_t> waiting_;
  std::vector<Running> running_;  // in the order of their starts
  std::size_t kept_ = SIZE_MAX;
};

Trace RandomTrace(std::uint32_t seed, std::int64_t processors) {
  std::mt19937 random(seed);
  auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  Trace trace;
  std::int64_t submit = 1, load = 2 + below(12);
  for (std::int64_t i = 1; i <= 120; ++i) {
    submit += below(3) == 0 ? 0 : below(load);
    std::int64_t run = 1 + below(40), more = below(3) == 0 ? 0 : below(60);
    trace.jobs.push_back({i, submit, run, run + more, 1 + below(processors), below(4)});
  }
  return trace;
}

Rule RuleOf(const std::string& policy, bool backfill) {
  Rule rule{[](const TraceJob&, std::int64_t) { return 0.0; }, policy == "easy-sjbf", backfill};
  if (policy.starts_with("easy")) return rule;
  rule.extra = false;
  rule.keeps = true;
  if (policy == "sjf")
    rule.order = [](const TraceJob&, std::int64_t length) { return static_cast<double>(length); };
  if (policy == "saf") {
    rule.order = [](const TraceJob& job, std::int64_t length) {
      return static_cast<double>(length * job.processors);
    };
  }
  if (policy == "f1") {
    rule.order = [](const TraceJob& job, std::int64_t length) {
      return std::log10(static_cast<double>(length)) * static_cast<double>(job.processors) +
             870 * std::log10(static_cast<double>(job.submit_s));
    };
  }
  return rule;
}

TEST(Replay, EveryJobStartsWhenAPlainSchedulerWouldStartIt) {
  for (const char* policy : {"easy", "easy-sjbf", "fcfs", "sjf", "saf", "f1"}) {
    for (std::uint32_t seed = 1; seed <= 120; ++seed) {
      ReplayOptions options{4 + seed % 13, seed % 2 == 0, seed % 3 != 0};
      bool backfill = seed % 5 != 0;
      Trace trace = RandomTrace(seed, options.processors);
      auto made = plan::MakePolicy(policy);
      if (!backfill) made = plan::WithoutBackfill(std::move(made));
      ReplayResult result = Replay(trace, 0, trace.jobs.size(), options, std::move(made));
      std::vector<std::int64_t> expected = Plain(trace, options, RuleOf(policy, backfill)).Run();
      std::vector<std::int64_t> starts;
      for (const ReplayedJob& job : result.jobs) starts.push_back(job.start_s);
      ASSERT_EQ(starts, expected) << policy << " seed " << seed;
      ASSERT_EQ(result.promises_broken, 0U) << policy << " seed " << seed;
    }
  }
}

// Conservative: nobody starts later than an empty future would have promised at submission.
TEST(Replay, ConservativeKeepsThePromiseOfEachSubmission) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    ReplayOptions options{4 + seed % 13, false, true};
    Trace trace = RandomTrace(seed, options.processors);
    ReplayResult result = Replay(trace, 0, trace.jobs.size(), options, plan::MakePolicy("conservative"));
    EXPECT_EQ(result.jobs.size(), trace.jobs.size());
    EXPECT_EQ(result.promises_broken, 0U) << "seed " << seed;
  }
}

TEST(Replay, AllPoliciesRunEveryJobAndNeverMoreThanTheMachineHas) {
  for (const std::string& policy : plan::PolicyNames()) {
    Trace trace = RandomTrace(7, 9);
    ReplayOptions options{9, false, true};
    ReplayResult result = Replay(trace, 0, trace.jobs.size(), options, plan::MakePolicy(policy));
    ASSERT_EQ(result.jobs.size(), trace.jobs.size()) << policy;
    std::map<std::int64_t, std::int64_t> change;
    for (const ReplayedJob& job : result.jobs) {
      EXPECT_GE(job.start_s, job.submit_s);
      change[job.start_s] += job.processors;
      change[job.start_s + job.run_s] -= job.processors;
    }
    std::int64_t used = 0;
    for (const auto& [at, by] : change) EXPECT_LE(used += by, 9) << policy << " at " << at;
  }
}

TEST(Replay, AJobWiderThanTheMachineIsSkippedAndCounted) {
  Trace trace;
  trace.jobs = {{1, 0, 10, 10, 5, 0}, {2, 0, 10, 10, 4, 0}};
  ReplayResult result = Replay(trace, 0, 2, {4, false, true}, plan::MakePolicy("easy"));
  EXPECT_EQ(result.jobs.size(), 1U);
  EXPECT_EQ(result.skipped, 1U);
}

TEST(Replay, FiguresAreThoseOfTheirDefinitions) {
  ReplayResult run;
  run.jobs = {{0, 0, 100, 2}, {0, 100, 5, 4}};  // waits 0 and 100
  ReplayFigures figures = FiguresOf({run}, 4);
  EXPECT_DOUBLE_EQ(figures.bsld_avg, (1 + 10.5) / 2);
  EXPECT_DOUBLE_EQ(figures.bsld_max, 10.5);
  EXPECT_DOUBLE_EQ(figures.flow_avg_s, (100 + 105) / 2.0);
  EXPECT_DOUBLE_EQ(figures.stretch_avg, (1 + 21) / 2.0);
  EXPECT_DOUBLE_EQ(figures.wait_avg_s, 50);
  EXPECT_DOUBLE_EQ(figures.makespan_s, 105);
  EXPECT_DOUBLE_EQ(figures.utilisation, (200 + 20) / (4 * 105.0));
}

TEST(Swf, BadLinesAreNamedAndUselessOnesDropped) {
  Result<Trace> bad = ParseSwf("; comment\n1 0 0 10 1 -1 -1 1 10 -1 1 1 1 1 1 -1 -1 -1\nnonsense\n");
  ASSERT_FALSE(bad.has_value());
  EXPECT_NE(bad.error().message.find("line 3"), std::string::npos) << bad.error().message;
  Result<Trace> good = ParseSwf(
      "1 5 0 10 2 -1 -1 -1 -1 -1 1 1 1 1 1 -1 -1 -1\r\n2 3 0 0 2 -1 -1 2 9 -1 1 1 1 1 1 -1 -1 -1\n"
      "3 4 0 20 2 -1 -1 3 9 -1 1 1 1 1 1 -1 -1 -1");
  ASSERT_TRUE(good.has_value());
  ASSERT_EQ(good->jobs.size(), 2U);  // by submission
  EXPECT_EQ(good->jobs[0].processors, 3);
  EXPECT_EQ(good->jobs[0].estimate_s, 20);  // ran longer than it had asked for
  EXPECT_EQ(good->jobs[1].processors, 2);
  EXPECT_EQ(good->jobs[1].estimate_s, 10);
  EXPECT_EQ(good->dropped, 1U);
  EXPECT_EQ(good->overran, 1U);
}

class Published : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("SLIPWAY_TRACES");
    if (folder == nullptr) GTEST_SKIP() << "SLIPWAY_TRACES does not name the folder of the published traces";
    folder_ = folder;
  }
  ReplayFigures Run(const std::string& file, std::int64_t processors, const char* policy, bool exact,
                    bool backfill = true, const std::vector<std::size_t>& windows = {}) {
    Result<Trace> trace = ReadSwf(folder_ + "/" + file);
    CHECK(trace.has_value());
    ReplayOptions options{processors, exact, windows.empty()};
    std::vector<ReplayResult> runs;
    auto run = [&](std::size_t first, std::size_t count) {
      auto made = plan::MakePolicy(policy);
      if (!backfill) made = plan::WithoutBackfill(std::move(made));
      runs.push_back(Replay(*trace, first, count, options, std::move(made)));
    };
    for (std::size_t first : windows) run(first, 1024);
    if (windows.empty()) run(0, trace->jobs.size());
    return FiguresOf(runs, processors);
  }
  std::string folder_;
};

// predictsim (HPC users' estimates and their correction), KTH-SP2.
TEST_F(Published, EasyAndEasySjbfOnKthSp2) {
  struct Row {
    const char* policy;
    bool exact;
    double flow, stretch, bsld, bsld_max;
  };
  for (const Row& row : {Row{"easy", false, 15696.798181, 198.001776, 92.576540, 14805.2},
                         Row{"easy", true, 15187.607703, 139.004276, 71.722385, 10017.2},
                         Row{"easy-sjbf", false, 14764.002668, 158.867730, 69.405401, 14805.2},
                         Row{"easy-sjbf", true, 14295.946842, 103.566267, 49.847719, 9941.7}}) {
    ReplayFigures f = Run("KTH-SP2.swf", 100, row.policy, row.exact);
    EXPECT_EQ(f.jobs, 28481U);
    EXPECT_NEAR(f.flow_avg_s, row.flow, 5e-7);
    EXPECT_NEAR(f.stretch_avg, row.stretch, 5e-7);
    EXPECT_NEAR(f.bsld_avg, row.bsld, 5e-7);
    EXPECT_NEAR(f.bsld_max, row.bsld_max, 0.05);
  }
  EXPECT_NEAR(Run("KTH-SP2.swf", 100, "fcfs", false, false).bsld_avg, 6814.97, 5e-3);
}

// RLScheduler's table, lublin_256.
TEST_F(Published, FcfsSjfAndF1OnLublin256) {
  const std::vector<std::size_t> windows{1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085};
  struct Row {
    const char* policy;
    double without, with;
  };
  for (const Row& row : {Row{"fcfs", 7273.77, 235.82}, Row{"sjf", 277.35, 73.31}, Row{"f1", 258.37, 75.07}}) {
    EXPECT_NEAR(Run("lublin_256.swf", 256, row.policy, true, false, windows).bsld_avg, row.without, 5e-3);
    EXPECT_NEAR(Run("lublin_256.swf", 256, row.policy, true, true, windows).bsld_avg, row.with, 5e-3);
  }
}

}  // namespace
}  // namespace slipway::scheduler
