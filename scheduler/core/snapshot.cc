// SPDX-License-Identifier: Apache-2.0
// A State as bytes. Specifications are shared between the tasks of an array, so they are written once, in the
// order in which jobs first name them, and referred to by number.
#include <map>

#include "scheduler/core/derived.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint16_t kVersion = 5;

struct NodeImage {
  std::string name;
  NodeFacts facts;
  std::string boot_id, address;
  NodeState state = NodeState::kUnknown;
  bool drained = false;
  std::string reason;
  Time since;
  std::vector<std::string> images;
};
void Fields(auto& archive, IsA<NodeImage> auto& v) {
  archive(v.name, v.facts, v.boot_id, v.address, v.state, v.drained, v.reason, v.since, v.images);
}

struct StepImage {
  std::optional<Command> command;  // none: the job's own
  Step step;
};
void Fields(auto& archive, IsA<StepImage> auto& v) {
  archive(v.command, v.step.number, v.step.cores_per_task, v.step.time_limit_s, v.step.nodes, v.step.state,
          v.step.kill_requested, v.step.exit_code, v.step.reason, v.step.message, v.step.created,
          v.step.started, v.step.ended, v.step.timings);
}

struct JobImage {
  std::uint32_t spec = 0;
  Job job;
  std::vector<StepImage> steps;
};
// `nodes`: the job's, or as they were in an earlier version.
void FieldsV1(auto& archive, IsA<JobImage> auto& v, auto& nodes) {
  archive(v.spec, v.job.id, v.job.array, v.job.array_task, v.job.state, v.job.attempt, nodes, v.steps,
          v.job.next_step, v.job.outcome, v.job.cancelled_by, v.job.submitted, v.job.eligible, v.job.started,
          v.job.running, v.job.ended);
}
void FieldsV2(auto& archive, IsA<JobImage> auto& v, auto& nodes) {
  FieldsV1(archive, v, nodes);
  archive(v.job.hold, v.job.base_priority, v.job.nice, v.job.time_limit_s, v.job.begin, v.job.dependencies,
          v.job.requeue_wanted);
}
void FieldsV3(auto& archive, IsA<JobImage> auto& v) {
  FieldsV2(archive, v, v.job.nodes);
  archive(v.job.billing, v.job.charged_until, v.job.preempted_by, v.job.preempted_at);
}
void FieldsV4(auto& archive, IsA<JobImage> auto& v) {
  FieldsV3(archive, v);
  archive(v.job.planned);
}
void Fields(auto& archive, IsA<JobImage> auto& v) {
  FieldsV4(archive, v);
  archive(v.job.partition, v.job.limit_asked_s, v.job.suspended_at, v.job.suspended_us, v.job.lent_to,
          v.job.kill_at);
}
struct JobImageV4 {
  JobImage image;
};
void Fields(auto& archive, IsA<JobImageV4> auto& v) { FieldsV4(archive, v.image); }
struct JobImageV3 {
  JobImage image;
};
void Fields(auto& archive, IsA<JobImageV3> auto& v) { FieldsV3(archive, v.image); }
struct JobImageV1 {
  JobImage image;
  std::vector<NodeAllocationV2> nodes;
};
void Fields(auto& archive, IsA<JobImageV1> auto& v) { FieldsV1(archive, v.image, v.nodes); }
struct JobImageV2 {
  JobImage image;
  std::vector<NodeAllocationV2> nodes;
};
void Fields(auto& archive, IsA<JobImageV2> auto& v) { FieldsV2(archive, v.image, v.nodes); }
template <class Old>
JobImage TakeJob(Old& old) {
  JobImage image = std::move(old.image);
  for (NodeAllocationV2& node : old.nodes) image.job.nodes.push_back(std::move(node.allocation));
  return image;
}

// What of a job's fields there is before it is made.
struct PatternImage {
  Job job;
};
void Fields(auto& archive, IsA<PatternImage> auto& v) {
  archive(v.job.submitted, v.job.eligible, v.job.ended, v.job.hold, v.job.base_priority, v.job.nice,
          v.job.time_limit_s, v.job.begin, v.job.dependencies);
}

struct ArrayImage {
  JobId id;
  std::uint32_t spec = 0;
  JobId first_task;
  std::uint32_t tasks = 0, ended = 0, failed = 0;
  // Since version 4. Before, all tasks were jobs.
  std::uint32_t window = 0, made = 0;
  std::vector<std::uint32_t> made_early;
  std::optional<std::uint32_t> cancelled;
  std::optional<PatternImage> pattern;  // with a window
};
void FieldsV3(auto& archive, IsA<ArrayImage> auto& v) {
  archive(v.id, v.spec, v.first_task, v.tasks, v.ended, v.failed);
}
void Fields(auto& archive, IsA<ArrayImage> auto& v) {
  FieldsV3(archive, v);
  archive(v.window, v.made, v.made_early, v.cancelled, v.pattern);
}
struct ArrayImageV3 {
  ArrayImage image;
};
void Fields(auto& archive, IsA<ArrayImageV3> auto& v) { FieldsV3(archive, v.image); }
void TakeArrays(std::vector<ArrayImageV3>& old, std::vector<ArrayImage>& to) {
  for (ArrayImageV3& array : old) {
    to.push_back(std::move(array.image));
    to.back().made = to.back().tasks;
  }
}
struct ArrayImageV1 {
  ArrayImage image;
};
void Fields(auto& archive, IsA<ArrayImageV1> auto& v) {
  archive(v.image.id, v.image.spec, v.image.first_task, v.image.tasks);
}

struct AssociationImage {
  AssociationKey key;
  Association association;
  std::uint64_t usage = 0;
};
void Fields(auto& archive, IsA<AssociationImage> auto& v) { archive(v.key, v.association, v.usage); }

struct StepFactsImage {
  JobId job;
  std::uint32_t step = 0, part = 0;  // part: index into the step's nodes
  StepFacts facts;
};
void Fields(auto& archive, IsA<StepFactsImage> auto& v) { archive(v.job, v.step, v.part, v.facts); }

struct StepMeteredImage {
  JobId job;
  std::uint32_t step = 0, part = 0;
  StepMetered metered;
};
void Fields(auto& archive, IsA<StepMeteredImage> auto& v) { archive(v.job, v.step, v.part, v.metered); }

struct HetImage {
  JobId leader;
  std::uint32_t components = 0;
};
void Fields(auto& archive, IsA<HetImage> auto& v) { archive(v.leader, v.components); }

struct LeaseImage {
  JobId job;
  std::uint32_t lease_s = 0;
};
void Fields(auto& archive, IsA<LeaseImage> auto& v) { archive(v.job, v.lease_s); }
// A job that was signalled in its last attempt, and those of its steps that were.
struct SignalledImage {
  JobId job;
  std::vector<std::uint32_t> steps;
};
void Fields(auto& archive, IsA<SignalledImage> auto& v) { archive(v.job, v.steps); }

struct StateImage {
  std::uint16_t version = kVersion;
  std::uint64_t epoch = 0;
  JobId next_job;
  Time now;
  std::vector<JobSpec> specs;
  std::vector<NodeImage> nodes;
  std::vector<ArrayImage> arrays;
  std::vector<JobImage> jobs;
  std::vector<Account> accounts;
  std::vector<AssociationImage> associations;
  UsageClock usage_clock;
  std::vector<Reservation> reservations;
  std::vector<StepFactsImage> step_facts;  // behind the rest, and only where there are some
  std::vector<HetImage> hets;              // behind these, likewise
  std::vector<LeaseImage> leases;          // and behind these
  std::vector<NumberedWishes> wishes;      // and so on, of specs
  std::vector<SignalledImage> signalled;   // with `wishes`
  std::vector<StepMeteredImage> metered;   // behind these
};
// `specs`, `arrays` and `jobs`: the image's, or as they were in an earlier version.
void FieldsV3(auto& archive, IsA<StateImage> auto& v, auto& specs, auto& arrays, auto& jobs) {
  archive(v.version, v.epoch, v.next_job, v.now, specs, v.nodes, arrays, jobs, v.accounts, v.associations,
          v.usage_clock);
}
void Fields(auto& archive, IsA<StateImage> auto& v) {
  FieldsV3(archive, v, v.specs, v.arrays, v.jobs);
  archive(v.reservations);
}

struct StateImageV4 {
  StateImage image;
  std::vector<JobSpecV4> specs;
  std::vector<JobImageV4> jobs;
};
void Fields(auto& archive, IsA<StateImageV4> auto& v) {
  FieldsV3(archive, v.image, v.specs, v.image.arrays, v.jobs);
  archive(v.image.reservations);
}

struct StateImageV3 {
  StateImage image;
  std::vector<JobSpecV3> specs;
  std::vector<ArrayImageV3> arrays;
  std::vector<JobImageV3> jobs;
};
void Fields(auto& archive, IsA<StateImageV3> auto& v) {
  FieldsV3(archive, v.image, v.specs, v.arrays, v.jobs);
}

struct StateImageV2 {
  StateImage image;
  std::vector<JobSpecV2> specs;
  std::vector<ArrayImageV3> arrays;
  std::vector<JobImageV2> jobs;
};
void Fields(auto& archive, IsA<StateImageV2> auto& v) {
  archive(v.image.version, v.image.epoch, v.image.next_job, v.image.now, v.specs, v.image.nodes, v.arrays,
          v.jobs);
}

struct StateImageV1 {
  StateImage image;
  std::vector<JobSpecV1> specs;
  std::vector<ArrayImageV1> arrays;
  std::vector<JobImageV1> jobs;
};
void Fields(auto& archive, IsA<StateImageV1> auto& v) {
  archive(v.image.version, v.image.epoch, v.image.next_job, v.image.now, v.specs, v.image.nodes, v.arrays,
          v.jobs);
}

Result<StateImage> ReadImageV2(std::string_view bytes) {
  StateImageV2 old = TRY(Decode<StateImageV2>(bytes, "snapshot"));
  StateImage image = std::move(old.image);
  for (JobSpecV2& spec : old.specs) image.specs.push_back(std::move(spec.spec));
  TakeArrays(old.arrays, image.arrays);
  for (JobImageV2& job : old.jobs) image.jobs.push_back(TakeJob(job));
  return image;
}

Result<StateImage> ReadPresentImage(std::string_view bytes) {
  WireReader reader(bytes);
  StateImage image;
  reader(image);
  if (!reader.failed() && reader.bytes_left() > 0) reader(image.step_facts);
  if (!reader.failed() && reader.bytes_left() > 0) reader(image.hets);
  if (!reader.failed() && reader.bytes_left() > 0) reader(image.leases);
  if (!reader.failed() && reader.bytes_left() > 0) reader(image.wishes, image.signalled);
  if (!reader.failed() && reader.bytes_left() > 0) reader(image.metered);
  if (!GiveLateWishes(image.wishes, image.specs))
    return Fail(Code::kDataLoss, "snapshot: wishes of a specification that is not there");
  if (reader.failed() || reader.bytes_left() > 0)
    return Fail(Code::kInvalidArgument, "snapshot: malformed (", bytes.size(), " bytes)");
  return image;
}

Result<StateImage> ReadImageV3(std::string_view bytes) {
  StateImageV3 old = TRY(Decode<StateImageV3>(bytes, "snapshot"));
  for (JobSpecV3& spec : old.specs) old.image.specs.push_back(std::move(spec.spec));
  TakeArrays(old.arrays, old.image.arrays);
  for (JobImageV3& job : old.jobs) old.image.jobs.push_back(std::move(job.image));
  return std::move(old.image);
}

Result<StateImage> ReadImageV4(std::string_view bytes) {
  StateImageV4 old = TRY(Decode<StateImageV4>(bytes, "snapshot"));
  for (JobSpecV4& spec : old.specs) old.image.specs.push_back(std::move(spec.spec));
  for (JobImageV4& job : old.jobs) old.image.jobs.push_back(std::move(job.image));
  return std::move(old.image);
}

// A snapshot of this version or an earlier one.
Result<StateImage> ReadImage(std::string_view bytes) {
  std::uint16_t version = 0;
  WireReader(bytes.substr(0, sizeof version))(version);
  if (version == kVersion) return ReadPresentImage(bytes);
  if (version == 4) return ReadImageV4(bytes);
  if (version == 3) return ReadImageV3(bytes);
  if (version == 2) return ReadImageV2(bytes);
  if (version != 1)
    return Fail(Code::kInvalidArgument, "snapshot: version ", version, " is not known to this release");
  StateImageV1 old = TRY(Decode<StateImageV1>(bytes, "snapshot"));
  StateImage image = std::move(old.image);
  for (JobSpecV1& spec : old.specs) image.specs.push_back(std::move(spec.spec));
  for (ArrayImageV1& array : old.arrays) {
    image.arrays.push_back(array.image);
    image.arrays.back().made = array.image.tasks;
  }
  for (JobImageV1& from : old.jobs) {
    JobImage& job = image.jobs.emplace_back(TakeJob(from));
    if (job.spec >= image.specs.size()) return Fail(Code::kDataLoss, "snapshot: a job without specification");
    TakeFromSpec(job.job, image.specs[job.spec]);
    if (!IsTerminal(job.job.state)) continue;
    for (ArrayImage& array : image.arrays) {
      if (array.id != job.job.array) continue;
      ++array.ended;
      array.failed += job.job.state == JobState::kCompleted ? 0 : 1;
    }
  }
  return image;
}

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
    state.associations[from.key] = std::move(from.association);
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
