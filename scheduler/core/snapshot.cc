// SPDX-License-Identifier: Apache-2.0
// A State as bytes. Specifications are shared between the tasks of an array, so they are written once, in the
// order in which jobs first name them, and referred to by number.
#include <map>

#include "scheduler/core/apply_accounts.h"
#include "scheduler/core/derived.h"
#include "scheduler/core/snapshot_image.h"

namespace slipway::scheduler {
namespace {

Result<> AddArray(State& state, ArrayImage from, const std::vector<std::shared_ptr<const JobSpec>>& specs) {
  if (from.spec >= specs.size() || !specs[from.spec]->array)
    return Fail(Code::kDataLoss, "snapshot: an array without specification");
  bool whole = from.tasks == specs[from.spec]->array->indices.size() && from.made <= from.tasks &&
               from.pattern.has_value() == (from.window > 0);
  for (std::uint32_t task : from.made_early) whole = whole && task < from.tasks && task > from.made;
  if (!whole) return Fail(Code::kDataLoss, "snapshot: an array that contradicts itself");
  Array& array = state.arrays[from.id];
  array.id = from.id;
  array.spec = specs[from.spec];
  array.first_task = from.first_task;
  array.tasks = from.tasks;
  array.ended = from.ended;
  array.failed = from.failed;
  array.window = from.window;
  array.made = from.made;
  array.made_early = {from.made_early.begin(), from.made_early.end()};
  array.cancelled = from.cancelled;
  if (from.pattern) {
    array.pattern = std::move(from.pattern->job);
    array.pattern.id = array.pattern.array = array.id;
    array.pattern.spec = array.spec;
  }
  CountLive(state, *array.spec, array.unmade());
  IndexUnmade(state, array);
  return {};
}

class SpecTable {
 public:
  explicit SpecTable(std::vector<JobSpec>& specs) : specs_(specs) {}
  std::uint32_t NumberOf(const std::shared_ptr<const JobSpec>& spec) {
    auto [place, added] = numbers_.try_emplace(spec.get(), static_cast<std::uint32_t>(specs_.size()));
    if (added) specs_.push_back(*spec);
    return place->second;
  }

 private:
  std::vector<JobSpec>& specs_;
  std::map<const JobSpec*, std::uint32_t> numbers_;  // looked up only: its order (addresses) goes nowhere
};

std::vector<std::uint32_t> SignalledSteps(const Job& job) {
  std::vector<std::uint32_t> numbers;
  for (const Step& step : job.steps) {
    if (step.signalled) numbers.push_back(step.number);
  }
  return numbers;
}

JobImage ImageOf(const Job& job, SpecTable& specs) {
  JobImage image{specs.NumberOf(job.spec), job, {}};
  for (const Step& step : job.steps) {
    StepImage& made = image.steps.emplace_back();
    made.step = step;
    if (step.command.get() != &job.spec->command) made.command = *step.command;
  }
  return image;
}

Result<> AddJob(State& state, JobImage image, const std::vector<std::shared_ptr<const JobSpec>>& specs) {
  if (image.spec >= specs.size()) return Fail(Code::kDataLoss, "snapshot: a job without specification");
  Job& job = state.jobs[image.job.id];
  job = std::move(image.job);
  job.spec = specs[image.spec];
  for (StepImage& step : image.steps) {
    job.steps.push_back(std::move(step.step));
    job.steps.back().command =
        step.command ? std::make_shared<const Command>(std::move(*step.command)) : PrimaryCommand(job);
  }
  Index(state, job);
  auto array = state.arrays.find(job.array);
  if (array != state.arrays.end()) {
    ++array->second.kept;
    if (IsActive(job.state)) ++array->second.running;
  }
  if (!IsActive(job.state)) return {};
  for (const NodeAllocation& held : job.nodes) {
    if (held.released) continue;
    auto node = state.nodes.find(held.node);
    if (node == state.nodes.end())
      return Fail(Code::kDataLoss, "snapshot: a job on node ", held.node, ", which is not in it");
    if ((!job.lent_to && node->second.cores_allotted.Intersects(held.cores)) ||
        node->second.gpus_allotted.Intersects(held.gpus)) {
      return Fail(Code::kDataLoss, "snapshot: a core or GPU of ", held.node, " is allotted twice");
    }
    Allot(node->second, job.id, held, !job.lent_to);
  }
  return {};
}

}  // namespace

std::string EncodeState(const State& state) {
  StateImage image;
  image.epoch = state.epoch;
  image.next_job = state.next_job;
  image.now = state.now;
  image.specs.reserve(state.arrays.size() + state.jobs.size());  // at most; they are large
  image.jobs.reserve(state.jobs.size());
  SpecTable specs(image.specs);
  for (const auto& [name, node] : state.nodes) {
    image.nodes.push_back({name,
                           node.facts,
                           node.boot_id,
                           node.address,
                           node.state,
                           node.drained,
                           node.reason,
                           node.since,
                           {node.images.begin(), node.images.end()}});
  }
  for (const auto& [id, array] : state.arrays) {
    ArrayImage& made = image.arrays.emplace_back(
        ArrayImage{id, specs.NumberOf(array.spec), array.first_task, array.tasks, array.ended, array.failed});
    made.window = array.window;
    made.made = array.made;
    made.made_early.assign(array.made_early.begin(), array.made_early.end());
    made.cancelled = array.cancelled;
    if (array.window > 0) made.pattern = PatternImage{array.pattern};
  }
  for (const auto& [id, job] : state.jobs) image.jobs.push_back(ImageOf(job, specs));
  for (const auto& [name, account] : state.accounts) image.accounts.push_back(account);
  for (const auto& [key, association] : state.associations)
    image.associations.push_back({key, association, state.usage.at(key)});
  image.usage_clock = state.usage_clock;
  for (const auto& [name, reservation] : state.reservations) image.reservations.push_back(reservation);
  for (const auto& [id, job] : state.jobs) {
    for (const Step& step : job.steps) {
      for (std::uint32_t part = 0; part < step.nodes.size(); ++part) {
        const auto& facts = step.nodes[part].facts;
        if (facts) image.step_facts.push_back({id, step.number, part, *facts});
        if (facts && facts->metered != StepMetered())
          image.metered.push_back({id, step.number, part, facts->metered});
      }
    }
  }
  for (const auto& [leader, components] : state.hets) image.hets.push_back({leader, components});
  for (const auto& [job, lease_s] : state.leases) image.leases.push_back({job, lease_s});
  image.wishes = LateWishesIn(image.specs);
  for (const auto& [id, job] : state.jobs) {
    if (job.signalled) image.signalled.push_back({id, SignalledSteps(job)});
  }
  std::string bytes = Encode(image);
  const bool metered = !image.metered.empty(), wishes = metered || !image.wishes.empty(),
             leases = wishes || !image.leases.empty(), hets = leases || !image.hets.empty();
  if (hets || !image.step_facts.empty()) bytes += Encode(image.step_facts);
  if (hets) bytes += Encode(image.hets);
  if (leases) bytes += Encode(image.leases);
  if (wishes) bytes += Encode(image.wishes) + Encode(image.signalled);
  if (metered) bytes += Encode(image.metered);
  return bytes;
}

// Of a state whose jobs are there already.
static Result<> TakeSignalled(State& state, const std::vector<SignalledImage>& all) {
  for (const SignalledImage& from : all) {
    auto job = state.jobs.find(from.job);
    if (job == state.jobs.end())
      return Fail(Code::kDataLoss, "snapshot: a signal to a job that is not there");
    job->second.signalled = true;
    for (Step& step : job->second.steps)
      step.signalled = std::ranges::find(from.steps, step.number) != from.steps.end();
  }
  return {};
}

// Of a state whose jobs are there already; null when it is not there.
static StepNode* PartOf(State& state, JobId id, std::uint32_t number, std::uint32_t part) {
  auto job = state.jobs.find(id);
  if (job == state.jobs.end()) return nullptr;
  auto step = std::ranges::find(job->second.steps, number, &Step::number);
  return step == job->second.steps.end() || part >= step->nodes.size() ? nullptr : &step->nodes[part];
}

static Result<> TakeFacts(State& state, std::vector<StepFactsImage> all,
                          std::vector<StepMeteredImage> metered) {
  constexpr const char* kWrong = "snapshot: facts of a step that is not there";
  for (StepFactsImage& from : all) {
    StepNode* part = PartOf(state, from.job, from.step, from.part);
    if (part == nullptr) return Fail(Code::kDataLoss, kWrong);
    part->facts = std::make_shared<const StepFacts>(std::move(from.facts));
  }
  for (StepMeteredImage& from : metered) {
    StepNode* part = PartOf(state, from.job, from.step, from.part);
    if (part == nullptr || !part->facts) return Fail(Code::kDataLoss, kWrong);
    StepFacts facts = *part->facts;
    facts.metered = std::move(from.metered);
    part->facts = std::make_shared<const StepFacts>(std::move(facts));
  }
  return {};
}

Result<State> DecodeState(std::string_view bytes) {
  StateImage image = TRY(ReadImage(bytes));
  State state;
  state.epoch = image.epoch;
  state.next_job = image.next_job;
  state.now = image.now;
  std::vector<std::shared_ptr<const JobSpec>> specs;
  for (JobSpec& spec : image.specs) specs.push_back(std::make_shared<const JobSpec>(std::move(spec)));
  for (NodeImage& from : image.nodes) {
    Node& node = state.nodes[from.name];
    node.name = from.name;
    node.facts = std::move(from.facts);
    node.boot_id = std::move(from.boot_id);
    node.address = std::move(from.address);
    node.state = from.state;
    node.drained = from.drained;
    node.reason = std::move(from.reason);
    node.since = from.since;
    node.images = {from.images.begin(), from.images.end()};
    RefreshFree(node);
  }
  for (ArrayImage& from : image.arrays) TRY(AddArray(state, std::move(from), specs));
  for (Account& from : image.accounts) state.accounts[from.name] = std::move(from);
  for (AssociationImage& from : image.associations) {
    state.usage[from.key] = from.usage;
    PutAssociation(state, from.key, std::move(from.association));
  }
  state.usage_clock = image.usage_clock;
  for (Reservation& from : image.reservations) state.reservations[from.name] = std::move(from);
  for (JobImage& from : image.jobs) TRY(AddJob(state, std::move(from), specs));
  TRY(TakeSignalled(state, image.signalled));
  TRY(TakeFacts(state, std::move(image.step_facts), std::move(image.metered)));
  for (const HetImage& from : image.hets) {
    bool whole = from.components > 0 && from.leader.value + from.components <= state.next_job.value &&
                 state.ComponentsOf(from.leader).empty();
    if (!whole) return Fail(Code::kDataLoss, "snapshot: a heterogeneous job that contradicts itself");
    state.hets[from.leader] = from.components;
  }
  for (const LeaseImage& from : image.leases) {
    if (!state.jobs.contains(from.job) && !state.arrays.contains(from.job))
      return Fail(Code::kDataLoss, "snapshot: a lease of job ", from.job.value, ", which is not in it");
    state.leases[from.job] = from.lease_s;
  }
  return state;
}

}  // namespace slipway::scheduler
