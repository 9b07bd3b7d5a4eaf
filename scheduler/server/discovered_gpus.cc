// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/discovered_gpus.h"

#include <algorithm>
#include <set>

#include "base/log/log.h"
#include "base/os/fd.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kFileBytesMax = 64 << 20;

struct Record {
  std::string node;
  std::vector<DiscoveredGpu> gpus;
};
void Fields(auto& archive, IsA<Record> auto& v) { archive(v.node, v.gpus); }
struct File {
  std::uint32_t version = 1;
  std::vector<Record> records;
};
void Fields(auto& archive, IsA<File> auto& v) { archive(v.version, v.records); }

std::vector<DiscoveredGpu> ByType(std::vector<DiscoveredGpu> gpus) {
  std::stable_sort(gpus.begin(), gpus.end(),
                   [](const DiscoveredGpu& a, const DiscoveredGpu& b) { return a.type < b.type; });
  return gpus;
}

Result<File> ReadRecords(const std::string& file) {
  std::string bytes = TRY(ReadFile(file, kFileBytesMax));
  File read = TRY(Decode<File>(bytes, file));
  if (read.version != 1) return Fail(Code::kUnimplemented, file, ": version ", read.version);
  return read;
}

// How many kinds the planner can tell apart is the core's to judge.
bool HasRoomFor(Site site, const std::string& type) {
  site.nodes["one more"].gpus = {{type, 1}};
  return CheckSite(site).has_value();
}

}  // namespace

DiscoveredGpus DiscoveredGpus::Load(std::string file) {
  DiscoveredGpus known;
  known.file_ = std::move(file);
  if (known.file_.empty()) return known;
  auto read = ReadRecords(known.file_);
  if (read) {
    for (Record& record : read->records) known.nodes_[record.node] = std::move(record.gpus);
  } else if (read.error().code != Code::kNotFound) {
    Log(Level::kWarn, "the GPUs that nodes had are forgotten until they register",
        {{"error", read.error().message}});
  }
  return known;
}

bool DiscoveredGpus::Knows(const std::string& node, std::vector<DiscoveredGpu> gpus) const {
  auto found = nodes_.find(node);
  return found == nodes_.end() ? gpus.empty() : found->second == ByType(std::move(gpus));
}

bool DiscoveredGpus::Learn(const std::string& node, std::vector<DiscoveredGpu> gpus) {
  if (Knows(node, gpus)) return false;
  if (gpus.empty())
    nodes_.erase(node);
  else
    nodes_[node] = ByType(std::move(gpus));
  if (file_.empty()) return true;
  File file;
  for (const auto& [name, list] : nodes_) file.records.push_back({name, list});
  if (auto kept = WriteFileAtomically(file_, Encode(file), 0600); !kept)
    Log(Level::kError, "the GPUs of a node are not kept", {{"node", node}, {"error", kept.error().message}});
  return true;
}

Site DiscoveredGpus::AddedTo(const Site& configured, std::vector<std::string>* untyped) const {
  Site site = configured;
  std::vector<std::string> known = configured.GresKinds();
  std::set<std::string> kinds(known.begin(), known.end()), too_many;
  for (const auto& [node, gpus] : nodes_) {
    NodeTraits& traits = site.nodes[node];
    if (!traits.gpus.empty()) continue;
    for (const DiscoveredGpu& gpu : gpus) {
      std::string kind = Cat("gpu:", gpu.type);
      if (!kinds.contains(kind) && !too_many.contains(kind))
        (HasRoomFor(site, gpu.type) ? kinds : too_many).insert(kind);
      std::string type = kinds.contains(kind) ? gpu.type : std::string();
      if (type.empty() && untyped != nullptr) untyped->push_back(gpu.type);
      if (traits.gpus.empty() || traits.gpus.back().name != type) traits.gpus.push_back({type, 0});
      ++traits.gpus.back().count;
      traits.gpu_ids.push_back(gpu.id);
    }
  }
  return site;
}

}  // namespace slipway::scheduler
