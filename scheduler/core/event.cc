// SPDX-License-Identifier: Apache-2.0
// Events as bytes: docs/formats/events.md.
#include "scheduler/core/event.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace slipway::scheduler {
namespace {

constexpr std::uint16_t kVersion = 4;

// The kinds behind the first ones, which are numbered by their place.
constexpr std::size_t kFirstKinds = 32;
constexpr std::uint16_t kLaterKinds[] = {45};
static_assert(kFirstKinds + std::size(kLaterKinds) == std::variant_size_v<EventBody>);

std::uint16_t KindOf(std::size_t index) {
  return index < kFirstKinds ? static_cast<std::uint16_t>(index + 1) : kLaterKinds[index - kFirstKinds];
}

// Of a kind that is not known: one that no alternative has.
std::size_t IndexOf(std::uint16_t kind) {
  if (kind <= kFirstKinds) return kind - std::size_t{1};
  auto at = std::find(std::begin(kLaterKinds), std::end(kLaterKinds), kind);
  return kFirstKinds + static_cast<std::size_t>(at - std::begin(kLaterKinds));
}

struct Header {
  std::uint16_t version = kVersion, kind = 0;
  Time at;
};
void Fields(auto& archive, IsA<Header> auto& v) { archive(v.version, v.kind, v.at); }

// Tries the kinds in turn; the index in the variant is the kind less one.
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

template <class Spec>
void ReadJobSubmitted(WireReader& reader, EventBody& body) {
  OldJobSubmitted<Spec> read;
  reader(read);
  body = JobSubmitted{read.job, std::move(read.spec.spec)};
}

bool ReadOldBody(WireReader& reader, std::uint16_t version, std::size_t index, EventBody& body) {
  constexpr std::size_t kJobSubmitted = 1, kJobStarted = 2;
  constexpr std::size_t kKinds[] = {0, 19, 20, 26};  // by version
  if (index >= kKinds[version]) return false;
  if (index == kJobSubmitted) {
    version == 1   ? ReadJobSubmitted<JobSpecV1>(reader, body)
    : version == 2 ? ReadJobSubmitted<JobSpecV2>(reader, body)
                   : ReadJobSubmitted<JobSpecV3>(reader, body);
    return true;
  }
  if (index != kJobStarted || version > 2) return ReadBody(reader, index, body);
  JobStartedV2 read;
  reader(read);
  JobStarted started{read.job, read.attempt, {}, 0};
  for (NodeAllocationV2& node : read.nodes) started.nodes.push_back(std::move(node.allocation));
  body = std::move(started);
  return true;
}

struct Describer {
  std::string operator()(const EpochBegan& e) { return Cat("EpochBegan ", e.epoch); }
  std::string operator()(const JobSubmitted& e) {
    return Cat("JobSubmitted ", e.job.value, " '", e.spec.name, "'");
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
  writer(Header{kVersion, KindOf(event.body.index()), event.at});
  std::visit([&](const auto& body) { writer(body); }, event.body);
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
  if (header.kind == 0 || !read(IndexOf(header.kind))) {
    return Fail(Code::kInvalidArgument, "event: kind ", header.kind, " is not known to this release");
  }
  if (reader.failed() || reader.bytes_left() != 0) {
    return Fail(Code::kInvalidArgument, "event of kind ", header.kind, ": malformed (", record.size(),
                " bytes)");
  }
  return event;
}

std::string Describe(const Event& event) { return std::visit(Describer{}, event.body); }

}  // namespace slipway::scheduler
