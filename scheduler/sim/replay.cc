// SPDX-License-Identifier: Apache-2.0
// The machine of a trace is so many processors that do not differ: one node with that many cores. Within a
// second: what was expected to end leaves, submissions come, ends are seen; a pass follows each.
#include "scheduler/sim/replay.h"

#include <algorithm>
#include <ctime>
#include <queue>
#include <tuple>

#include "scheduler/plan/planner.h"

namespace slipway::scheduler {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class Machine {
 public:
  Machine(const Trace& trace, std::size_t first, const ReplayOptions& options,
          std::unique_ptr<plan::Policy> policy)
      : trace_(trace), first_(first), options_(options), planner_(std::move(policy)) {
    plan::Vec total;
    total[plan::kCores] = options.processors;
    planner_.cluster().AddNode(total);
    if (!options.ends_before_submits) planner_.SetGrace(1);
  }

  ReplayResult Run(std::size_t count) {
    double begin = CpuSeconds();
    count = std::min(count, trace_.jobs.size() - first_);
    result_.jobs.resize(count);
    std::size_t next = 0;
    while (next < count || !running_.empty()) {
      std::int64_t now = INT64_MAX;
      if (next < count) now = Of(next).submit_s;
      if (!running_.empty()) now = std::min(now, running_.top().end_s);
      planner_.Advance(now * kSecond);
      if (options_.ends_before_submits) FreeExpected(now);
      for (; next < count && Of(next).submit_s == now; ++next) Submit(next, now);
      EndAll(now);
    }
    std::erase_if(result_.jobs, [](const ReplayedJob& job) { return job.processors == 0; });
    result_.promises_broken = planner_.statistics().promises_broken;
    result_.passes = planner_.statistics().passes;
    result_.cpu_s = CpuSeconds() - begin;
    return std::move(result_);
  }

 private:
  struct Running {
    std::int64_t end_s = 0;
    std::uint64_t order = 0;  // of starts
    std::size_t job = 0;
    bool operator<(const Running& other) const {  // the heap's top is the first to end
      return std::tie(end_s, order) > std::tie(other.end_s, other.order);
    }
  };
  const TraceJob& Of(std::size_t index) const { return trace_.jobs[first_ + index]; }
  std::int64_t EstimateOf(std::size_t index) const {
    return options_.exact_estimates ? Of(index).run_s : Of(index).estimate_s;
  }

  void FreeExpected(std::int64_t now) {
    while (!expected_.empty() && expected_.top().end_s <= now) {
      if (expected_.top().end_s == now) planner_.Remove(expected_.top().job + 1);
      expected_.pop();
    }
  }

  void Submit(std::size_t index, std::int64_t now) {
    const TraceJob& from = Of(index);
    if (from.processors > options_.processors) {
      ++result_.skipped;
      return;
    }
    plan::PlanJob job;
    job.facts = {index + 1, from.submit_s * kSecond, EstimateOf(index) * kSecond, from.processors, 0};
    job.request.node[plan::kCores] = from.processors;
    planner_.Add(job);
    Pass(now);
  }

  void EndAll(std::int64_t now) {
    while (!running_.empty() && running_.top().end_s == now) {
      planner_.Remove(running_.top().job + 1);  // no effect if it was expected
      running_.pop();
      Pass(now);
    }
  }

  void Pass(std::int64_t now) {
    for (const plan::PlanStart& start : planner_.Pass()) {
      std::size_t index = start.job - 1;
      const TraceJob& from = Of(index);
      result_.jobs[index] = {from.submit_s, now, from.run_s, from.processors};
      Running running{now + from.run_s, ++starts_, index};
      running_.push(running);
      if (options_.ends_before_submits && EstimateOf(index) == from.run_s) expected_.push(running);
    }
  }

  const Trace& trace_;
  std::size_t first_;
  const ReplayOptions& options_;
  plan::Planner planner_;
  std::priority_queue<Running> running_, expected_;
  std::uint64_t starts_ = 0;
  ReplayResult result_;
};

}  // namespace

ReplayResult Replay(const Trace& trace, std::size_t first, std::size_t count, const ReplayOptions& options,
                    std::unique_ptr<plan::Policy> policy) {
  return Machine(trace, first, options, std::move(policy)).Run(count);
}

ReplayFigures FiguresOf(const std::vector<ReplayResult>& runs, std::int64_t processors) {
  ReplayFigures sum;
  double area = 0, span = 0;
  for (const ReplayResult& run : runs) {
    std::int64_t begin = INT64_MAX, end = INT64_MIN;
    for (const ReplayedJob& job : run.jobs) {
      auto run_s = static_cast<double>(job.run_s),
           flow = static_cast<double>(job.start_s - job.submit_s) + run_s;
      double slowdown = std::max(1.0, flow / std::max(run_s, 10.0));
      sum.bsld_avg += slowdown;
      sum.bsld_max = std::max(sum.bsld_max, slowdown);
      sum.flow_avg_s += flow;
      sum.stretch_avg += flow / run_s;
      sum.wait_avg_s += flow - run_s;
      area += run_s * static_cast<double>(job.processors);
      begin = std::min(begin, job.submit_s);
      end = std::max(end, job.start_s + job.run_s);
    }
    if (!run.jobs.empty()) span += static_cast<double>(end - begin);
    sum.jobs += run.jobs.size();
    sum.skipped += run.skipped;
    sum.passes += run.passes;
    sum.promises_broken += run.promises_broken;
    sum.cpu_s += run.cpu_s;
  }
  double jobs = std::max<double>(1, static_cast<double>(sum.jobs));
  for (double* average : {&sum.bsld_avg, &sum.flow_avg_s, &sum.stretch_avg, &sum.wait_avg_s})
    *average /= jobs;
  if (span > 0) sum.utilisation = area / (static_cast<double>(processors) * span);
  sum.makespan_s = span / std::max<double>(1, static_cast<double>(runs.size()));
  return sum;
}

}  // namespace slipway::scheduler
