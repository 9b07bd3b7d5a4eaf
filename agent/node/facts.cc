// SPDX-License-Identifier: Apache-2.0
#include "agent/node/facts.h"

#include <hwloc.h>
#include <sys/utsname.h>

#include <algorithm>
#include <memory>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

Result<Topology> LoadTopology() {
  hwloc_topology_t raw = nullptr;
  if (::hwloc_topology_init(&raw) < 0) return ErrnoFail("hwloc_topology_init");
  Topology topology(raw, &hwloc_topology_destroy);
  if (::hwloc_topology_load(raw) < 0) return ErrnoFail("hwloc_topology_load");
  return topology;
}

std::uint32_t CountOf(hwloc_topology_t topology, hwloc_obj_type_t type) {
  return static_cast<std::uint32_t>(std::max(0, ::hwloc_get_nbobjs_by_type(topology, type)));
}

std::vector<std::vector<std::uint32_t>> CoreCpus(hwloc_topology_t topology) {
  std::vector<std::vector<std::uint32_t>> cores;
  hwloc_obj_t core = nullptr;
  while ((core = ::hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != nullptr) {
    std::vector<std::uint32_t> cpus;
    for (int cpu = ::hwloc_bitmap_first(core->cpuset); cpu >= 0; cpu = ::hwloc_bitmap_next(core->cpuset, cpu))
      cpus.push_back(static_cast<std::uint32_t>(cpu));
    cores.push_back(std::move(cpus));
  }
  return cores;
}

std::string DebianArch(const std::string& machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

}  // namespace

Result<NodeFacts> FindNodeFacts(std::uint32_t cores, std::uint64_t memory_bytes) {
  Topology topology = TRY(LoadTopology());
  NodeFacts facts;
  facts.core_cpus = CoreCpus(topology.get());
  facts.cores = static_cast<std::uint32_t>(facts.core_cpus.size());
  // Some virtual machines show processors but no cores.
  if (facts.cores == 0) facts.cores = CountOf(topology.get(), HWLOC_OBJ_PU);
  facts.sockets = CountOf(topology.get(), HWLOC_OBJ_PACKAGE);
  facts.numa_nodes = CountOf(topology.get(), HWLOC_OBJ_NUMANODE);
  facts.memory_bytes = ::hwloc_get_root_obj(topology.get())->total_memory;
  if (cores != 0 && cores != facts.cores) {
    facts.cores = cores;
    facts.core_cpus.clear();
  }
  if (memory_bytes != 0) facts.memory_bytes = memory_bytes;
  utsname system{};
  if (::uname(&system) < 0) return ErrnoFail("uname");
  facts.arch = DebianArch(system.machine);
  return facts;
}

Result<std::string> FindBootId(const std::string& state_dir) {
  std::string id(Trim(TRY(ReadFile("/proc/sys/kernel/random/boot_id", 256))));
  auto suffix = ReadFile(state_dir + "/boot-suffix", 256);
  if (!suffix && suffix.error().code != Code::kNotFound) return Failure(std::move(suffix).error());
  if (suffix && !Trim(*suffix).empty()) id = Cat(id, "-", Trim(*suffix));
  return id;
}

}  // namespace slipway
