// SPDX-License-Identifier: Apache-2.0
// The queue is filled, the cluster lives for a while so that ends are spread, and then each kind of decision
// is timed by itself.
#include "scheduler/sim/load.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>

#include "base/text/text.h"
#include "scheduler/sim/arguments.h"
#include "scheduler/sim/gantt.h"
#include "scheduler/sim/measure.h"

namespace slipway::scheduler {
namespace {

constexpr plan::Instant kSecond = 1'000'000;

class Load {
 public:
  Load(const LoadOptions& options, Gantt* gantt)
      : options_(options),
        mix_(options.mix, options.nodes, options.seed),
        rng_(options.seed + 1),
        planner_(plan::MakePolicy(Cat("multifactor:", options.reservations))),
        gantt_(gantt) {
    mix_.AddNodes(planner_.cluster());
    plan::Limit bound;
    bound.planned_max = options.per_user;
    for (std::uint32_t user = 0; options.per_user > 0 && user < kUsers; ++user)
      users_.push_back(planner_.AddLimit(bound));
    for (std::uint32_t user = 0; options.fair_share && user < kUsers; ++user)
      lanes_.push_back(planner_.AddLane(-1000 * static_cast<plan::Rank>(user)));
  }

  LoadFigures Run() {
    std::size_t before = HeapBytes();
    for (std::uint32_t i = 0; i < options_.queued; ++i) Add();
    figures_.bytes_per_job = static_cast<double>(HeapBytes() - before) / std::max<double>(1, options_.queued);
    planner_.Advance(now_);
    figures_.fill_ms = Timed([&] { figures_.started_first = Pass(); });
    Live(200);
    std::vector<double> passes;
    for (std::uint32_t i = 0; i < options_.rounds; ++i) {
      Step();
      EndSome(3);
      passes.push_back(Timed([&] { Pass(); }));
      Refill();
    }
    figures_.pass_ms = Quantile(passes, 0.5);
    figures_.pass_max_ms = Quantile(passes, 1);
    Arrivals();
    Ends();
    figures_.planned = planner_.Promises().size();
    figures_.waiting = planner_.waiting();
    figures_.shapes = planner_.shapes();
    return figures_;
  }

 private:
  template <class Work>
  static double Timed(Work work) {
    double begin = CpuMs();
    work();
    return CpuMs() - begin;
  }

  // Users have a priority each, where the mix has any; else all jobs are one user's.
  plan::PlanJob Next() {
    plan::PlanJob job = mix_.Next(next_++, now_);
    const std::size_t user = static_cast<std::size_t>(job.facts.priority / 1000) % kUsers;
    if (!users_.empty()) job.limits = {users_[user]};
    if (!lanes_.empty()) {  // what he has is a share, and moves with all his jobs
      job.lane = lanes_[user];
      job.facts.priority -= 1000 * static_cast<std::int64_t>(user);
    }
    return job;
  }
  void Add() { planner_.Add(Next()); }
  std::size_t Record(const std::vector<plan::PlanStart>& starts) {
    for (const plan::PlanStart& start : starts) {
      running_.push_back(start.job);
      for (const plan::NodeShare& share : start.nodes) Note(share.node);
      Note(start.job);
      if (gantt_ != nullptr) gantt_->Started(start.job, start.nodes, now_);
    }
    return starts.size();
  }
  std::size_t Pass() { return Record(planner_.Pass()); }

  void Note(std::uint64_t value) { figures_.decisions = (figures_.decisions ^ value) * 0x9fb21c651e98df25; }

  // Time goes on to the next thing that is planned, or by a second.
  void Step() {
    planner_.Advance(now_ += kSecond);
    SampleNow();
    for (plan::JobNumber job : planner_.Overdue()) {
      End(job);
      std::erase(running_, job);
    }
  }
  plan::JobNumber AnyRunning() {
    std::size_t at = rng_.Below(running_.size());
    std::swap(running_[at], running_.back());
    plan::JobNumber job = running_.back();
    running_.pop_back();
    return job;
  }
  void EndSome(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count && !running_.empty(); ++i) End(AnyRunning());
  }
  void End(plan::JobNumber job) {
    planner_.Remove(job);
    if (gantt_ != nullptr) gantt_->Ended(job, now_);
  }
  void SampleNow() {
    if (gantt_ == nullptr) return;
    const plan::Cluster& cluster = planner_.cluster();
    double all = 0, free = 0;
    for (plan::NodeNumber node = 0; node < cluster.size(); ++node) {
      bool whole = cluster.Free(node)[plan::kToken] <= 0;  // given to one job, however little it asked for
      all += static_cast<double>(cluster.Total(node)[plan::kCores]);
      free += whole ? 0 : static_cast<double>(cluster.Free(node)[plan::kCores]);
    }
    gantt_->Sampled(now_, all > 0 ? 1 - free / all : 0, planner_.waiting());
  }
  void Refill() {
    while (planner_.waiting() < options_.queued) Add();
  }

  // One user's share is another's.
  void Recalculate() {
    if (lanes_.empty()) return;
    const std::uint32_t user = rng_.Below(kUsers);
    planner_.SetLaneOffset(lanes_[user], -1000 * static_cast<plan::Rank>(rng_.Below(kUsers)));
  }

  // Until the jobs that run are no longer those that all began at once.
  void Live(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      EndSome(static_cast<std::uint32_t>(running_.size() / 100 + 1));
      if (i % 10 == 9) {
        Recalculate();
        Pass();
        Refill();
      }
    }
    Pass();
    Refill();
    Pass();
  }

  void Arrivals() {
    std::vector<double> times;
    for (std::uint32_t i = 0; i < 2000; ++i) {
      plan::PlanJob job = Next();
      times.push_back(1000 * Timed([&] {
                        planner_.Add(job);
                        Record(planner_.QuickPass());
                      }));
    }
    figures_.arrival_us = Quantile(times, 0.5);
  }

  void Ends() {
    constexpr std::uint32_t kEnds = 500;
    std::vector<double> times(kEnds, 0);
    std::uint32_t timed = 0;
    for (; timed < kEnds && !running_.empty(); ++timed) {
      plan::JobNumber job = AnyRunning();
      times[timed] = Timed([&] {
        planner_.Remove(job);
        Record(planner_.QuickPass());
      });
    }
    times.resize(timed);
    figures_.end_ms = Quantile(times, 0.5);
    figures_.end_p99_ms = Quantile(times, 0.99);
  }

  static constexpr std::size_t kUsers = 300;
  const LoadOptions& options_;
  Mix mix_;
  Rng rng_;
  plan::Planner planner_;
  std::vector<std::uint32_t> users_;     // the bound of each
  std::vector<plan::LaneNumber> lanes_;  // the fair share of each
  Gantt* gantt_;
  plan::Instant now_ = kSecond;
  plan::JobNumber next_ = 1;
  std::vector<plan::JobNumber> running_;
  LoadFigures figures_;
};

Result<LoadOptions> Parse(const std::vector<std::string>& words, std::string& chart) {
  Arguments given = TRY(Arguments::Parse(
      words,
      {"--nodes", "--queued", "--mix", "--reservations", "--per-user", "--rounds", "--seed", "--gantt"},
      {"--json", "--fair-share"}));
  LoadOptions options;
  options.nodes = static_cast<std::uint32_t>(TRY(given.Number("--nodes", options.nodes, 1, 1'000'000)));
  options.queued = static_cast<std::uint32_t>(TRY(given.Number("--queued", options.queued, 1, 10'000'000)));
  options.reservations = static_cast<std::uint32_t>(TRY(given.Number("--reservations", 100, 1, 1'000'000)));
  options.per_user = static_cast<std::uint32_t>(TRY(given.Number("--per-user", 0, 0, 1'000'000)));
  options.fair_share = given.Has("--fair-share");
  options.rounds = static_cast<std::uint32_t>(TRY(given.Number("--rounds", options.rounds, 1, 100'000)));
  options.seed = TRY(given.Number("--seed", 1, 0, UINT64_MAX / 2));
  options.mix = given.Text("--mix", "trace");
  chart = given.Text("--gantt");
  if (!Mix::Known(options.mix))
    return Fail(Code::kInvalidArgument, "--mix is trace, centre or distinct, not ", options.mix);
  return options;
}

}  // namespace

LoadFigures RunLoad(const LoadOptions& options, Gantt* gantt) {
  return std::make_unique<Load>(options, gantt)->Run();
}

int LoadCommand(const std::vector<std::string>& words) {
  std::string chart;
  Result<LoadOptions> options = Parse(words, chart);
  if (!options) {
    std::fprintf(stderr, "slipway-sim load: %s; see slipway-sim --help\n", options.error().message.c_str());
    return 2;
  }
  Gantt gantt(options->nodes);
  LoadFigures f = RunLoad(*options, chart.empty() ? nullptr : &gantt);
  if (!chart.empty()) {
    std::ofstream file(chart);
    if (!(file << gantt.Svg() << std::flush)) {
      std::fprintf(stderr, "slipway-sim load: --gantt %s cannot be written\n", chart.c_str());
      return 1;
    }
  }
  std::printf(
      "{\"mix\": \"%s\", \"nodes\": %u, \"queued\": %u, \"reservations\": %u, \"shapes\": %llu, \"planned\": "
      "%llu, "
      "\"first_fill_starts\": %llu, \"first_fill_ms\": %.1f, \"pass_ms\": %.1f, \"pass_max_ms\": %.1f, "
      "\"arrival_us\": %.2f, \"end_ms\": %.3f, \"end_p99_ms\": %.3f, \"bytes_per_job\": %.0f, \"decisions\": "
      "\"%016llx\"}\n",
      options->mix.c_str(), options->nodes, options->queued, options->reservations,
      static_cast<unsigned long long>(f.shapes), static_cast<unsigned long long>(f.planned),
      static_cast<unsigned long long>(f.started_first), f.fill_ms, f.pass_ms, f.pass_max_ms, f.arrival_us,
      f.end_ms, f.end_p99_ms, f.bytes_per_job, static_cast<unsigned long long>(f.decisions));
  return 0;
}

}  // namespace slipway::scheduler
