// SPDX-License-Identifier: Apache-2.0
// Events as bytes: docs/formats/events.md.
#include "scheduler/core/event.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

namespace slipway::scheduler {
namespace {

constexpr std::uint16_t kVersion = 5;

// The kinds on disk, in the order of the variant.
constexpr std::uint16_t kKinds[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
                                    27, 28, 29, 30, 31, 32, 33, 34, 45, 35, 42, 48, 43};
static_assert(std::size(kKinds) == std::variant_size_v<EventBody>);

struct Header {
  std::uint16_t version = kVersion, kind = 0;
  Time at;
};
void Fields(auto& archive, IsA<Header> auto& v) { archive(v.version, v.kind, v.at); }

// Tries the kinds in turn.
template <std::size_t kIndex = 0>
bool ReadBody(WireReader& reader, std::size_t index, EventBody& body) {
  if constexpr (kIndex < std::variant_size_v<EventBody>) {
    if (index != kIndex) return ReadBody<kIndex + 1>(reader, index, body);
    reader(body.emplace<kIndex>());
    return true;
  } else {
    return false;
  }
}

// As these were in earlier versions; the other events of those read as they are.
template <class Spec>
struct OldJobSubmitted {
  JobId job;
  Spec spec;
};
template <class Spec>
void Fields(WireReader& archive, OldJobSubmitted<Spec>& v) {
  archive(v.job, v.spec);
}
struct JobStartedV2 {
  JobId job;
  std::uint32_t attempt = 0;
  std::vector<NodeAllocationV2> nodes;
};
void Fields(auto& archive, IsA<JobStartedV2> auto& v) { archive(v.job, v.attempt, v.nodes); }
// As these were since version 3.
template <class Body>
struct InV3 {
  Body body;
};
template <class Body>
void Fields(WireReader& archive, InV3<Body>& v) {
  FieldsV3(archive, v.body);
}
struct JobSubmittedV4 {
  JobId job;
  JobSpecV4 spec;
  std::uint32_t window = 0;
};
void Fields(auto& archive, IsA<JobSubmittedV4> auto& v) { archive(v.job, v.spec, v.window); }

template <class Spec>
void ReadJobSubmitted(WireReader& reader, EventBody& body) {
  OldJobSubmitted<Spec> read;
  reader(read);
  body = JobSubmitted{read.job, std::move(read.spec.spec)};
}

void ReadJobSubmittedV4(WireReader& reader, EventBody& body) {
  JobSubmittedV4 read;
  reader(read);
  body = JobSubmitted{read.job, std::move(read.spec.spec), read.window};
}

void ReadJobStartedV2(WireReader& reader, EventBody& body) {
  JobStartedV2 read;
  reader(read);
  JobStarted started{.job = read.job, .attempt = read.attempt};
  for (NodeAllocationV2& node : read.nodes) started.nodes.push_back(std::move(node.allocation));
  body = std::move(started);
}

template <class Body>
bool ReadV3(WireReader& reader, EventBody& body) {
  InV3<Body> read;
  reader(read);
  body = std::move(read.body);
  return true;
}

bool ReadOldBody(WireReader& reader, std::uint16_t version, std::size_t index, EventBody& body) {
  constexpr std::size_t kJobSubmitted = 1, kJobStarted = 2, kJobPreempted = 25;
  constexpr std::size_t kKnown[] = {0, 19, 20, 26, 32};  // by version
  if (index >= kKnown[version]) return false;
  if (index == kJobSubmitted) {
    version == 1   ? ReadJobSubmitted<JobSpecV1>(reader, body)
    : version == 2 ? ReadJobSubmitted<JobSpecV2>(reader, body)
    : version == 3 ? ReadJobSubmitted<JobSpecV3>(reader, body)
                   : ReadJobSubmittedV4(reader, body);
    return true;
  }
  if (index == kJobStarted && version <= 2) return ReadJobStartedV2(reader, body), true;
  if (index == kJobStarted) return ReadV3<JobStarted>(reader, body);
  if (index == kJobPreempted) return ReadV3<JobPreempted>(reader, body);
  return ReadBody(reader, index, body);
}

// ---- What few jobs wish for, behind the record of a submission.

void WriteLate(WireWriter&, const auto&) {}
void WriteWishes(WireWriter& writer, std::span<const JobSpec> specs) {
  std::vector<NumberedWishes> late = LateWishesIn(specs);
  if (!late.empty()) writer(late);
}
void WriteLate(WireWriter& writer, const JobSubmitted& e) { WriteWishes(writer, {&e.spec, 1}); }
void WriteLate(WireWriter& writer, const HetJobSubmitted& e) { WriteWishes(writer, e.components); }

// Whether they belong to that event.
bool TakeLate(const std::vector<NumberedWishes>&, auto&) { return false; }
bool TakeLate(const std::vector<NumberedWishes>& late, JobSubmitted& e) {
  return GiveLateWishes(late, {&e.spec, 1});
}
bool TakeLate(const std::vector<NumberedWishes>& late, HetJobSubmitted& e) {
  return GiveLateWishes(late, e.components);
}

bool ReadLate(WireReader& reader, EventBody& body) {
  std::vector<NumberedWishes> late;
  reader(late);
  return !reader.failed() && reader.bytes_left() == 0 && !late.empty() &&
         std::visit([&](auto& event) { return TakeLate(late, event); }, body);
}

struct Describer {
  std::string operator()(const EpochBegan& e) { return Cat("EpochBegan ", e.epoch); }
  std::string operator()(const JobSubmitted& e) {
    return Cat("JobSubmitted ", e.job.value, " '", e.spec.name, "'");
  }
  std::string operator()(const JobLeased& e) {
    return Cat("JobLeased ", e.job.value, " for ", e.lease_s, " s");
  }
  std::string operator()(const HetJobSubmitted& e) {
    return Cat("HetJobSubmitted ", e.leader.value, " of ", e.components.size(), " components");
  }
  std::string operator()(const JobStarted& e) {
    std::string text = Cat("JobStarted ", e.job.value, '.', e.attempt, " on");
    for (const NodeAllocation& node : e.nodes) text += Cat(' ', node.node, ':', node.cores.count());
    return text;
  }
  std::string operator()(const JobCancelRequested& e) { return Cat("JobCancelRequested ", e.job.value); }
  std::string operator()(const JobCompleting& e) {
    return Cat("JobCompleting ", Of(e.job, e.attempt, e.outcome));
  }
  std::string operator()(const NodeReleased& e) {
    return Cat("NodeReleased ", e.job.value, '.', e.attempt, " by ", e.node);
  }
  std::string operator()(const JobEnded& e) { return Cat("JobEnded ", Of(e.job, e.attempt, e.outcome)); }
  std::string operator()(const JobRequeued& e) {
    return Cat("JobRequeued ", e.job.value, " after ", e.attempt);
  }
  std::string operator()(const JobsForgotten& e) { return Cat("JobsForgotten ", e.jobs.size()); }
  std::string operator()(const StepCreated& e) {
    return Cat("StepCreated ", ToString(e.step), " on ", e.nodes.size(), " nodes");
  }
  std::string operator()(const StepKillRequested& e) { return Cat("StepKillRequested ", ToString(e.step)); }
  std::string operator()(const StepNodeStarted& e) {
    return Cat("StepNodeStarted ", ToString(e.step), " on ", e.node);
  }
  std::string operator()(const StepNodeEnded& e) {
    return Cat("StepNodeEnded ", ToString(e.step), " on ", e.node, ": ", EndReasonName(e.reason), ' ',
               e.exit_code);
  }
  std::string operator()(const StepFactsNoted& e) {
    return Cat("StepFactsNoted ", ToString(e.step), " on ", e.node);
  }
  std::string operator()(const StepMeteredNoted& e) {
    return Cat("StepMeteredNoted ", ToString(e.step), " on ", e.node);
  }
  std::string operator()(const NodeRegistered& e) {
    return Cat("NodeRegistered ", e.node, " boot ", e.boot_id);
  }
  std::string operator()(const NodeLost& e) { return Cat("NodeLost ", e.node); }
  std::string operator()(const NodeDrained& e) { return Cat("NodeDrained ", e.node, ": ", e.reason); }
  std::string operator()(const NodeResumed& e) { return Cat("NodeResumed ", e.node); }
  std::string operator()(const NodeDeclaredDown& e) {
    return Cat("NodeDeclaredDown ", e.node, ": ", e.reason);
  }
  std::string operator()(const ImageDropped& e) { return Cat("ImageDropped ", e.node, ' ', e.digest); }
  std::string operator()(const ImageStaged& e) { return Cat("ImageStaged ", e.node, ' ', e.digest); }

  std::string operator()(const JobUpdated& e) { return Cat("JobUpdated ", e.job.value, " by ", e.uid); }

  std::string operator()(const UsageClockSet& e) {
    return Cat("UsageClockSet every ", e.clock.period_s, " s");
  }
  std::string operator()(const JobPreempted& e) {
    return Cat("JobPreempted ", e.job.value, '.', e.attempt, " by ", e.by.value);
  }
  std::string operator()(const JobSuspended& e) {
    return Cat("JobSuspended ", e.job.value, '.', e.attempt, e.by.value == 0 ? "" : " for ",
               e.by.value == 0 ? "" : Cat(e.by.value));
  }
  std::string operator()(const JobResumed& e) { return Cat("JobResumed ", e.job.value, '.', e.attempt); }
  std::string operator()(const JobSignalled& e) { return Cat("JobSignalled ", e.job.value, '.', e.attempt); }
  std::string operator()(const AccountSet& e) { return Cat("AccountSet ", e.account.name); }
  std::string operator()(const AccountRemoved& e) { return Cat("AccountRemoved ", e.account); }
  std::string operator()(const AssociationSet& e) {
    return Cat("AssociationSet ", e.association.user, " in ", e.key.account);
  }
  std::string operator()(const AssociationRemoved& e) {
    return Cat("AssociationRemoved uid ", e.key.uid, " from ", e.key.account);
  }

  std::string operator()(const ReservationSet& e) {
    return Cat("ReservationSet ", e.reservation.name, " on ", e.reservation.nodes.size(), " nodes");
  }
  std::string operator()(const ReservationRemoved& e) { return Cat("ReservationRemoved ", e.reservation); }

  std::string operator()(const ArrayTaskMade& e) {
    return Cat("ArrayTaskMade ", e.task, " of ", e.array.value);
  }
  std::string operator()(const ArrayCancelled& e) {
    return Cat("ArrayCancelled ", e.array.value, " by ", e.uid);
  }

  std::string operator()(const StartPlanned& e) {
    return Cat("StartPlanned ", e.job.value, " on ", e.planned.nodes.size(), " nodes");
  }

  static std::string Of(JobId job, std::uint32_t attempt, const Outcome& outcome) {
    return Cat(job.value, '.', attempt, ' ', JobStateName(outcome.state), ' ', outcome.exit_code);
  }
};

}  // namespace

std::string EncodeEvent(const Event& event) {
  WireWriter writer;
  writer(Header{kVersion, kKinds[event.body.index()], event.at});
  std::visit([&](const auto& body) { writer(body), WriteLate(writer, body); }, event.body);
  return writer.Take();
}

Result<Event> DecodeEvent(std::string_view record) {
  WireReader reader(record);
  Header header;
  reader(header);
  if (reader.failed())
    return Fail(Code::kInvalidArgument, "event: ", record.size(), " bytes are too few for one");
  if (header.version == 0 || header.version > kVersion) {
    return Fail(Code::kInvalidArgument, "event: version ", header.version, " is not known to this release");
  }
  Event event{header.at, {}};
  auto read = [&](std::size_t index) {
    return header.version == kVersion ? ReadBody(reader, index, event.body)
                                      : ReadOldBody(reader, header.version, index, event.body);
  };
  const auto* kind = std::ranges::find(kKinds, header.kind);
  if (kind == std::end(kKinds) || !read(static_cast<std::size_t>(kind - std::begin(kKinds)))) {
    return Fail(Code::kInvalidArgument, "event: kind ", header.kind, " is not known to this release");
  }
  bool late = !reader.failed() && reader.bytes_left() != 0 && header.version == kVersion;
  if (reader.failed() || (reader.bytes_left() != 0 && !(late && ReadLate(reader, event.body)))) {
    return Fail(Code::kInvalidArgument, "event of kind ", header.kind, ": malformed (", record.size(),
                " bytes)");
  }
  return event;
}

std::string Describe(const Event& event) { return std::visit(Describer{}, event.body); }

}  // namespace slipway::scheduler
