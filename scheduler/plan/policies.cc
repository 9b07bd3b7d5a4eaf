// SPDX-License-Identifier: Apache-2.0
// The policies. Adding one is a class here and a line in MakePolicy.
#include <charconv>
#include <cmath>

#include "scheduler/plan/policy.h"

namespace slipway::plan {
namespace {

constexpr Instant kSecond = 1'000'000;

// First come, first served; `reservations` of the first are planned, the rest fills the holes (EASY, Lifka
// 1995; with all of them planned: conservative backfilling, Mu'alem and Feitelson 2001).
class Easy : public Policy {
 public:
  Easy(std::string_view name, std::uint32_t reservations) : name_(name), reservations_(reservations) {}
  std::string_view name() const override { return name_; }
  Rules rules() const override { return {Backfill::kProfile, reservations_, false}; }
  Rank RankOf(const JobFacts&) const override { return 0; }

 private:
  std::string_view name_;
  std::uint32_t reservations_;
};

// EASY, but the shortest job overtakes first (Tsafrir, Etsion and Feitelson 2007).
class EasySjbf final : public Easy {
 public:
  EasySjbf() : Easy("easy-sjbf", 1) {}
  bool has_backfill_order() const override { return true; }
  Rank BackfillRankOf(const JobFacts& job) const override { return job.length; }
};

// Orders of the literature on learned scheduling: the first in order is chosen and kept, others overtake in
// order of submission if they surely end before it starts.
class Chosen : public Policy {
 public:
  Rules rules() const override { return {Backfill::kBeforeFirst, 1, true}; }
  bool has_backfill_order() const override { return true; }
  Rank BackfillRankOf(const JobFacts&) const override { return 0; }
};

class Fcfs final : public Chosen {
 public:
  std::string_view name() const override { return "fcfs"; }
  Rank RankOf(const JobFacts&) const override { return 0; }
};

class ShortestFirst final : public Chosen {
 public:
  std::string_view name() const override { return "sjf"; }
  Rank RankOf(const JobFacts& job) const override { return job.length; }
};

class SmallestAreaFirst final : public Chosen {
 public:
  std::string_view name() const override { return "saf"; }
  Rank RankOf(const JobFacts& job) const override { return job.length / kSecond * job.processors; }
};

// log10(r)·n + 870·log10(s) (Carastan-Santos and de Camargo 2017), in units of 10^-12.
class F1 final : public Chosen {
 public:
  std::string_view name() const override { return "f1"; }
  Rank RankOf(const JobFacts& job) const override {
    auto log = [](Instant time) {
      return std::log10(std::max(static_cast<double>(time) / static_cast<double>(kSecond), 1e-6));
    };
    double score = log(job.length) * static_cast<double>(job.processors) + 870 * log(job.submitted);
    return static_cast<Rank>(std::llround(score * 1e12));
  }
};

// The site's priority decides.
class Multifactor final : public Policy {
 public:
  explicit Multifactor(std::uint32_t reservations) : reservations_(reservations) {}
  std::string_view name() const override { return "multifactor"; }
  Rules rules() const override { return {Backfill::kProfile, reservations_, false}; }
  Rank RankOf(const JobFacts& job) const override { return -job.priority; }
  bool follows_priority() const override { return true; }

 private:
  std::uint32_t reservations_;
};

class NoBackfill final : public Policy {
 public:
  explicit NoBackfill(std::unique_ptr<Policy> policy) : policy_(std::move(policy)) {}
  std::string_view name() const override { return policy_->name(); }
  Rules rules() const override { return {Backfill::kNone, 0, policy_->rules().keeps_choice}; }
  Rank RankOf(const JobFacts& job) const override { return policy_->RankOf(job); }
  bool follows_priority() const override { return policy_->follows_priority(); }

 private:
  std::unique_ptr<Policy> policy_;
};

}  // namespace

std::unique_ptr<Policy> MakePolicy(std::string_view name) {
  std::uint32_t planned = 1;
  std::size_t colon = name.find(':');
  if (colon != std::string_view::npos) {
    std::string_view number = name.substr(colon + 1);
    name = name.substr(0, colon);
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), planned);
    bool planning = name == "easy" || name == "multifactor";
    if (error != std::errc() || end != number.data() + number.size() || planned == 0 || !planning)
      return nullptr;
  }
  if (name == "easy") return std::make_unique<Easy>("easy", planned);
  if (name == "conservative") return std::make_unique<Easy>("conservative", kAllJobs);
  if (name == "easy-sjbf") return std::make_unique<EasySjbf>();
  if (name == "fcfs") return std::make_unique<Fcfs>();
  if (name == "sjf") return std::make_unique<ShortestFirst>();
  if (name == "saf") return std::make_unique<SmallestAreaFirst>();
  if (name == "f1") return std::make_unique<F1>();
  if (name == "multifactor") return std::make_unique<Multifactor>(planned);
  return nullptr;
}

std::vector<std::string> PolicyNames() {
  return {"fcfs", "easy", "easy-sjbf", "conservative", "sjf", "f1", "saf", "multifactor"};
}

std::unique_ptr<Policy> WithoutBackfill(std::unique_ptr<Policy> policy) {
  return std::make_unique<NoBackfill>(std::move(policy));
}

}  // namespace slipway::plan
