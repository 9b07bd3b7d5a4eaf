// SPDX-License-Identifier: Apache-2.0
// Which waiting job starts where, and which are promised a start: the free-resource profile (Cluster), the
// queue and a policy put together. A pass starts what fits, in order, and plans the first that do not; a job
// that is planned keeps at least that start (a promise) until it runs, however the queue changes: only nodes
// that fail, jobs that overrun their limits and reservations that an administrator makes can break one.
//
// Pure and single-threaded. Cost follows distinct requests, not jobs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "scheduler/plan/cluster.h"
#include "scheduler/plan/policy.h"
#include "scheduler/plan/queue.h"

namespace slipway::plan {

struct PlanJob {
  JobFacts facts;  // facts.length: for how long it may run
  Request request;
  LaneNumber lane = 0;
  std::vector<std::uint32_t> limits;  // numbers from AddLimit that it counts against
  std::uint32_t prefer = 0;           // a set of nodes that win ties; 0: none
  Instant least = 0;                  // it may be started for as short, where that starts it now; 0: no
};

struct Limit {
  std::int64_t jobs_max = -1;  // running at once; negative: no bound
  Vec max;                     // of all running together; 0 in a dimension: no bound
  std::int64_t jobs = 0;       // running
  Vec used;
  std::int64_t nodes_max = -1, nodes = 0;  // of all running together; one that two jobs share counts twice
  std::int64_t planned_max = -1;           // promised a start at once; negative: no bound
  std::int64_t planned = 0;                // promised
  std::uint64_t refused_in = 0;            // the walk (Statistics::walks) in which it let no more be planned

  bool BoundsRunning() const { return jobs_max >= 0 || nodes_max >= 0 || max != Vec(); }
  bool BoundsPlanning() const { return planned_max >= 0; }
  bool PlansNoMore() const { return BoundsPlanning() && planned >= planned_max; }
};

struct PlanStart {
  JobNumber job = 0;
  Placement nodes;
  Instant length = 0;  // for which it was started, without the grace
};

// A running job that may be given up.
struct Victim {
  JobNumber job = 0;
  bool lends = false;  // only its cores, and only for a time, by which it then ends later
};

enum class Waits : std::uint8_t {
  kPlanned = 1,  // it has a promised start
  kOthers = 2,   // does not fit beside what runs and is planned, or may not overtake
  kLimit = 3,
  kNever = 4  // would not fit if nothing ran: nodes are away
};

class Planner {
 public:
  explicit Planner(std::shared_ptr<const Policy> policy);

  Cluster& cluster() { return cluster_; }
  const Cluster& cluster() const { return cluster_; }
  const Policy& policy() const { return *policy_; }

  // Lanes: jobs whose ranks move together. The offset is added to the ranks of the lane's jobs.
  LaneNumber AddLane(Rank offset = 0);
  void SetLaneOffset(LaneNumber lane, Rank offset) {
    lanes_[lane] = offset;
    changes_.everywhere = true;
  }
  std::uint32_t AddLimit(const Limit& limit);
  void ChangeLimit(std::uint32_t number, std::int64_t jobs_max, const Vec& max);
  const Limit& LimitOf(std::uint32_t number) const { return limits_[number]; }

  // A waiting job's place in the order changes; what is promised to it stays.
  void Rerank(JobNumber job, Rank rank, LaneNumber lane);
  // Its place now: smaller is considered first.
  Rank RankOf(JobNumber job) const {
    const Job& known = jobs_.at(job);
    return known.entry.rank + lanes_[known.lane];
  }
  // The first of its limits that keeps the job from starting beside those that run.
  std::optional<std::uint32_t> BlockingLimit(JobNumber job) const;
  // Of a waiting job that is promised nothing: the first of its limits that keeps it from being planned,
  // beside those that are. It may start wherever it fits all the same.
  std::optional<std::uint32_t> BoundOnPlanning(JobNumber job) const;

  // Of the running jobs (in order: the ones to be given up first) those that have to go so that the waiting
  // job fits now, beside all promises but its own and those of the jobs in `planned`. None: these promises
  // alone are in its way. nullopt: not even with all of them gone, or a limit is in its way. One that could
  // end later only at the cost of a promise does not lend, and either all of them lend, so that it starts at
  // once, or none does.
  std::optional<std::vector<Victim>> VictimsFor(JobNumber job, const std::vector<Victim>& running,
                                                const std::vector<JobNumber>& planned) const;
  // For a job for which others were given up: it starts now where it fits, else it is planned, before any
  // that waits gets what they leave. Which jobs may overtake which is as in a pass.
  std::optional<PlanStart> StartOrPlan(JobNumber job);
  // It waits like others again.
  void DropPromise(JobNumber job);
  void DropPromises();  // of all
  // A running job lends its cores (and its share of nodes, not memory and GPUs) until then; its own end is as
  // much later.
  void Lend(JobNumber job, Instant until);
  // A running job is expected to have ended by then, earlier than by its limit.
  void EndsBy(JobNumber job, Instant end);

  // A job's resources are planned to be free only so long after its time limit: ending takes time.
  void SetGrace(Instant grace) { grace_ = grace; }

  // Starts that are planned further ahead than this are no promises: each pass plans them anew.
  void SetHorizon(Instant horizon) { horizon_ = horizon; }

  // Waits from now on. The number must not be in use.
  void Add(const PlanJob& job);
  // Jobs that start at the same instant, or none of them: a gang, in the place and with the number of its
  // first. Each is a job of its own once they run; while they wait, removing one removes all, and all are
  // promised the same start or none is. `least` is not used: they are started for all of their time.
  void AddGang(const std::vector<PlanJob>& jobs);
  // Of a gang of which not all were promised a start again (KeepPromise) none is.
  void SettleGangs();
  // Whether such jobs could ever start together, were nothing else there and all nodes usable.
  bool CouldRunTogether(const std::vector<PlanJob>& jobs);
  // Runs on these nodes until `end` at the latest, whatever the planner thinks of it (it was decided before).
  void AddRunning(const PlanJob& job, const Placement& nodes, Instant end);
  // A promise that was given before (by a planner of which this one is a copy) holds again, where it still
  // fits; one on nodes that are awaited does as well.
  void KeepPromise(JobNumber job, Instant start, const Placement& nodes);
  bool Knows(JobNumber job) const { return jobs_.contains(job); }
  bool IsRunning(JobNumber job) const;
  // Of a running job: until when it holds its nodes.
  Instant EndOf(JobNumber job) const { return jobs_.at(job).end; }
  // Cluster::Learn of what a job that is known asks for.
  void Learn(JobNumber job) { cluster_.Learn(queue_.shape(jobs_.at(job).shape).request); }
  // No longer waits, or no longer runs: what it held is free.
  void Remove(JobNumber job);
  // Of a running job, what it holds on one machine.
  void Release(JobNumber job, NodeNumber node);
  void SetUsable(NodeNumber node, bool usable);
  void SetAwaited(NodeNumber node, bool awaited);  // Cluster::SetAwaited
  void SetTotal(NodeNumber node, const Vec& total);
  // Taken away from everybody, from … to (a maintenance window), and given back.
  void Reserve(NodeNumber node, const Vec& what, Instant from, Instant to);
  void Unreserve(NodeNumber node, const Vec& what, Instant from, Instant to);

  void Advance(Instant now) {
    if (cluster_.Advance(now)) GainEverywhere();
  }
  // Running jobs whose end is past.
  std::vector<JobNumber> Overdue() const;
  // Running jobs whose end is past are expected to end after `more` from now. Returns how many there were.
  std::size_t ExtendOverdue(Instant more);

  // One pass at the time of Advance. Jobs in the answer run from now on.
  std::vector<PlanStart> Pass();
  // The same with less work: looks only at jobs that have come since the last pass and at those that what was
  // freed since may let in; planned jobs start early but are not planned anew. A whole pass where that is not
  // enough.
  std::vector<PlanStart> QuickPass();
  // Of the planned jobs the earliest start: a pass is due then. kNever: none.
  Instant NextStart() const;

  struct Promise {
    JobNumber job = 0;
    Instant start = 0;
    const Placement* nodes = nullptr;
  };
  std::vector<Promise> Promises() const;  // in the order of their starts
  std::optional<Promise> PromiseOf(JobNumber job) const;
  Waits WhyWaits(JobNumber job);
  // The earliest start of such a request if it were the first in the queue.
  Planned WhenIf(const Request& request, Instant length) { return cluster_.Earliest(request, length); }
  std::size_t shapes() const { return queue_.shape_count(); }
  std::size_t waiting() const { return queue_.jobs() + gangs_.size() + planned_.size(); }

  struct Statistics {
    std::uint64_t passes = 0, quick_passes = 0, walks = 0, plans = 0;
    std::uint64_t promises_broken = 0;  // moved to a later time
  };
  const Statistics& statistics() const { return statistics_; }

 private:
  friend class PassWalk;
  friend class WhatIf;
  enum class JobState : std::uint8_t { kWaiting, kPlanned, kRunning, kGang };  // kGang: waits in a gang
  struct Job {
    ShapeNumber shape = 0;
    GroupNumber group = 0;
    LimitSet limits = 0;
    LaneNumber lane : 30 = 0;  // beside the state, which would take eight bytes of its own
    JobState state : 2 = JobState::kWaiting;
    Entry entry;
    Instant length = 0, least = 0;
    Instant start = 0, end = 0;    // planned or running
    Instant lent_until = 0;        // running: its cores are others' until then; 0: they are its own
    std::uint64_t planned_at = 0;  // gains_ when it was planned last
    Placement nodes;
  };

  bool Fits(const Request& request, const Planned& planned, Instant length) const;
  // One of a gang, as it is placed.
  struct Part {
    Request request;
    Instant length = 0;
    const NodeBits* prefer = nullptr;
  };
  using Gang = std::vector<JobNumber>;
  const Gang* GangOf(JobNumber job) const;
  std::vector<Part> PartsOf(const Gang& gang) const;
  static std::optional<std::vector<Placement>> PlaceTogether(Cluster& cluster, std::vector<Part> parts);
  static std::optional<std::vector<Placement>> PlaceInTurn(Cluster& cluster, const std::vector<Part>& parts);
  static std::vector<Instant> ChangesFrom(const Cluster& cluster, Instant first);
  static Instant NotBefore(Cluster& cluster, const std::vector<Part>& parts);
  static std::optional<std::vector<Planned>> EarliestTogether(const Cluster& cluster,
                                                              const std::vector<Part>& parts);
  bool GangLimitsAllow(const Gang& gang);
  // Where all of them can be now; nullopt: together nowhere. They are held nowhere.
  std::optional<std::vector<Placement>> PlacesNow(const Gang& gang, std::vector<Planned> promised);
  bool PromisesHold(const Gang& gang, const std::vector<Planned>& before);
  void HoldGang(const Gang& gang, std::vector<Planned> planned);
  std::vector<Planned> UnholdGang(const Gang& gang);  // what was planned; they wait again
  // Takes a gang that waits or is planned out of the books, all but what `jobs_` has of them.
  void RemoveGang(JobNumber first);
  std::size_t PlannedJobs() const { return planned_.size() - gang_others_planned_; }
  // What a running or planned job takes of these books.
  void TakeOrGive(Cluster& cluster, const Job& job, Use use, bool take) const;
  void TakeOrGiveOn(Cluster& cluster, const Job& job, const NodeShare& share, Use use, bool take) const;
  // Of a running job on all its nodes: what it would lend.
  static Vec LentOf(const Vec& what);  // what of it can be lent: cores and the share of the node
  void TakeOrGiveLent(Cluster& cluster, const Job& job, bool take) const;
  bool EndLater(Cluster& cluster, const Job& job, Instant until) const;
  // Of VictimsFor: some of them may lend and others not.
  std::optional<std::vector<Victim>> VictimsAmong(const Job& job, std::vector<Victim> running,
                                                  const std::vector<JobNumber>& planned) const;
  LimitSet SetOfLimits(std::vector<std::uint32_t> limits);
  // What a job, or a gang, which counts once, counts against; planned or waiting.
  std::vector<std::uint32_t> LimitsOf(JobNumber job) const;
  void CountPlanned(JobNumber job, int change);
  // Whether one that counts against these limits may be planned beside those that are. Adds to `refused`,
  // once in a walk, the limits that are in its way.
  bool MayPlan(const std::vector<std::uint32_t>& limits, std::vector<std::uint32_t>& refused);
  // Of jobs that count against these limits none may be planned beside those that are.
  bool PlansNoMore(LimitSet set) const;
  bool BoundsRunning(LimitSet set) const;
  // Of the limits with these numbers the first that such a job would exceed.
  static std::optional<std::uint32_t> FirstReachedOf(const std::vector<Limit>& limits,
                                                     const std::vector<std::uint32_t>& numbers,
                                                     const Request& request);
  std::optional<std::uint32_t> FirstReached(LimitSet set, const Request& request) const {
    return FirstReachedOf(limits_, limit_sets_[set], request);
  }
  bool LimitsAllow(LimitSet set, const Request& request) const {
    return set == 0 || !FirstReached(set, request).has_value();
  }
  void Count(LimitSet set, const Request& request, int change) {
    if (set != 0) CountIn(limits_, limit_sets_[set], request, change);
  }
  static void CountIn(std::vector<Limit>& limits, const std::vector<std::uint32_t>& numbers,
                      const Request& request, int change);
  Job& Insert(const PlanJob& job);
  void Enqueue(Job& job);
  void Start(Job& job, Placement nodes, Instant end);
  void Hold(Job& job, Planned planned);
  void Unhold(Job& job);
  // What has changed since the last pass. `everywhere`: more than what the rest can say.
  struct Changes {
    bool everywhere = true, licences = false;
    std::vector<NodeNumber> freed;
    std::vector<JobNumber> arrived;
    std::set<LimitSet> limits;
  };
  void Gain() { ++gains_; }
  void GainEverywhere() {
    Gain();
    changes_.everywhere = true;
  }
  void GainOf(const Job& job);
  // Whether the first in the queue are planned, so that others may be looked at without regard to them.
  bool EnoughPlanned() const { return !planned_.empty() && 2 * PlannedJobs() >= plannable_; }
  void ForgetFarPlans();

  std::shared_ptr<const Policy> policy_;
  Rules rules_;
  bool backfill_order_;
  std::size_t plannable_;  // of Rules::reservations those that limits left to be given in the last whole pass
  Cluster cluster_;
  Queue queue_;
  std::unordered_map<JobNumber, Job> jobs_;  // looked up only
  std::vector<Rank> lanes_{0};
  std::vector<Limit> limits_;
  std::vector<std::vector<std::uint32_t>> limit_sets_{{}};
  std::map<std::vector<std::uint32_t>, LimitSet> limit_set_numbers_{{{}, 0}};
  std::map<JobNumber, Gang> gangs_;                      // that wait or are planned, by their first
  std::unordered_map<JobNumber, JobNumber> gang_first_;  // of each of these jobs
  std::size_t gang_others_planned_ = 0;                  // jobs in planned_ that are not their gang's first
  std::set<std::pair<Instant, JobNumber>> planned_;      // by start
  std::set<std::pair<Instant, JobNumber>> ends_;         // of running jobs
  std::uint64_t gains_ = 1;                              // how often something was freed
  Instant grace_ = 0, horizon_ = kNever;
  Changes changes_;
  Statistics statistics_;
};

}  // namespace slipway::plan
