// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/plan.h"

#include <fcntl.h>

#include <cstdio>
#include <filesystem>

#include "base/os/fd.h"

namespace slipway {

namespace {

// As agents wrote it before they metered: a step that was running when its node was upgraded.
struct KnownStepV2 {
  KnownStep step;
};
void Fields(auto& archive, IsA<KnownStepV2> auto& v) {
  auto& s = v.step;
  archive(s.version, s.step, s.nodes, s.addresses, s.node_index, s.ranks, s.exchanges, s.streams, s.lease_s);
}

Result<KnownStep> Parse(const std::string& bytes, const std::string& path) {
  std::uint32_t version = 0;
  WireReader reader(bytes);
  reader(version);
  if (version != 2) return Decode<KnownStep>(bytes, path);
  KnownStep known = TRY(Decode<KnownStepV2>(bytes, path)).step;
  known.version = KnownStep().version;
  return known;
}

}  // namespace

KnownStep KnownOf(const LaunchPlan& plan) {
  const StepSpec& spec = plan.spec;
  KnownStep known{
      .step = spec.step, .nodes = spec.nodes, .addresses = plan.addresses, .node_index = spec.node_index};
  if (spec.node_index < spec.ranks.size()) known.ranks = spec.ranks[spec.node_index];
  known.exchanges = spec.mpi != MpiKind::kNone && spec.nodes.size() > 1;
  known.streams = plan.stream_output;
  known.lease_s = plan.lease_s;
  known.gpus = plan.gpus;
  known.libraries = plan.libraries;
  known.job_nodes = plan.job_nodes;
  known.job_addresses = plan.job_addresses;
  return known;
}

Result<> KnownSteps::Write(const KnownStep& step) const {
  auto written = WriteFileForThisBoot(PathOf(step.step), Encode(step), 0600);
  if (written || written.error().code != Code::kNotFound) return written;
  TRY(MakeDirectories(folder_, 0700));
  return WriteFileForThisBoot(PathOf(step.step), Encode(step), 0600);
}

Result<KnownStep> KnownSteps::Read(const StepId& step) const {
  std::string path = PathOf(step);
  std::string bytes = TRY(ReadFile(path, kStepSpecBytesMax));
  KnownStep known = TRY(Parse(bytes, path));
  if (known.version != KnownStep().version || known.step != step ||
      known.addresses.size() != known.nodes.size() || known.node_index >= known.nodes.size() ||
      known.job_addresses.size() != known.job_nodes.size())
    return Fail(Code::kDataLoss, path, ": not what was written for this step");
  return known;
}

void KnownSteps::Remove(const StepId& step) const { ::unlink(PathOf(step).c_str()); }

bool KnownSteps::OlderThan(const StepId& step, const std::string& file) const {
  std::error_code none_here, none_there;
  auto ours = std::filesystem::last_write_time(PathOf(step), none_here);
  auto other = std::filesystem::last_write_time(file, none_there);
  return !none_here && !none_there && ours < other;
}

}  // namespace slipway
