// SPDX-License-Identifier: Apache-2.0
// Snapshots of earlier releases, each version as its release wrote it and made into one of today.
#include "scheduler/core/derived.h"
#include "scheduler/core/snapshot_image.h"

namespace slipway::scheduler {
namespace {

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

}  // namespace

Result<StateImage> ReadImage(std::string_view bytes) {
  std::uint16_t version = 0;
  WireReader(bytes.substr(0, sizeof version))(version);
  if (version == kSnapshotVersion) return ReadPresentImage(bytes);
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

}  // namespace slipway::scheduler
