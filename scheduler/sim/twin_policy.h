// SPDX-License-Identifier: Apache-2.0
// Is the plan that follows the state the one that would be made of it from scratch? Two policies see the
// same; whenever a reservation changes or a window of one is over, one makes its plan anew and the other
// brings its own up to date. From then on they must say the same.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/policy.h"

namespace slipway::scheduler {

// Answers as the one that is brought up to date. FindWrong tells the first difference.
class TwinPolicy final : public Policy {
 public:
  explicit TwinPolicy(std::shared_ptr<const Site> site)
      : live_(MakePlanningPolicy(nullptr, site)), anew_(MakePlanningPolicy(nullptr, site)) {}

  std::string_view name() const override { return live_->name(); }
  void Observe(const State& state, const Event& event) override;
  void Reset(const State& state) override;
  Plan Decide(const State& state, Time now) override;
  Result<> CheckFits(const State& state, const JobSpec& spec) override;
  Result<> CheckFitTogether(const State& state, const std::vector<JobSpec>& components) override;
  std::optional<PlannedStart> WhenWould(const State& state, const JobSpec& spec) override;
  std::optional<std::string> FindWrong(const State& state) const override;

  PendingReason ReasonOf(const State& state, JobId job) override { return live_->ReasonOf(state, job); }
  std::string ReasonText(const State& state, JobId job) override { return live_->ReasonText(state, job); }
  std::optional<PlannedStart> PlannedStartOf(JobId job) const override { return live_->PlannedStartOf(job); }
  std::vector<std::pair<JobId, PlannedStart>> PlannedStarts() const override {
    return live_->PlannedStarts();
  }
  Explanation Explain(const State& state, JobId job, Time now) override {
    return live_->Explain(state, job, now);
  }
  FairTree Shares(const State& state) const override { return live_->Shares(state); }
  std::uint64_t disturbances() const override { return live_->disturbances(); }

  // How often one of them made its plan anew.
  std::uint64_t compared() const { return compared_; }

 private:
  void MakeAnewIfChanged(const State& state, Time now);

  void AskOne(const State& state, Time now);

  std::unique_ptr<Policy> live_, anew_;
  bool changed_ = true;
  Time window_over_{Time::kNeverUs};
  std::uint64_t compared_ = 0, decided_ = 0;
  std::optional<std::string> wrong_;
};

}  // namespace slipway::scheduler
