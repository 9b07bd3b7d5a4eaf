// SPDX-License-Identifier: Apache-2.0
#include "agent/binding/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <memory>

namespace slipway {
namespace {

using Loaded = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

Result<Loaded> Load(const std::string& synthetic) {
  hwloc_topology_t raw = nullptr;
  if (::hwloc_topology_init(&raw) < 0) return ErrnoFail("hwloc_topology_init");
  Loaded loaded(raw, &hwloc_topology_destroy);
  if (!synthetic.empty() && ::hwloc_topology_set_synthetic(raw, synthetic.c_str()) < 0)
    return Fail(Code::kInvalidArgument, "hwloc does not read '", synthetic, "'");
  if (::hwloc_topology_load(raw) < 0) return ErrnoFail("hwloc_topology_load");
  return loaded;
}

std::uint32_t CountOf(hwloc_topology_t topology, hwloc_obj_type_t type) {
  return static_cast<std::uint32_t>(std::max(0, ::hwloc_get_nbobjs_by_type(topology, type)));
}

// 0 where there is none: some virtual machines show processors and nothing around them.
std::uint32_t IndexAbove(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_obj_t unit,
                         std::uint32_t fallback) {
  hwloc_obj_t above = ::hwloc_get_ancestor_obj_by_type(topology, type, unit);
  return above == nullptr ? fallback : above->logical_index;
}

}  // namespace

Result<Topology> FindTopology(const std::string& synthetic) {
  Loaded loaded = TRY(Load(synthetic));
  Topology topology{.cores = CountOf(loaded.get(), HWLOC_OBJ_CORE),
                    .sockets = CountOf(loaded.get(), HWLOC_OBJ_PACKAGE),
                    .numa_nodes = CountOf(loaded.get(), HWLOC_OBJ_NUMANODE),
                    .memory_bytes = ::hwloc_get_root_obj(loaded.get())->total_memory};
  hwloc_obj_t unit = nullptr;
  while ((unit = ::hwloc_get_next_obj_by_type(loaded.get(), HWLOC_OBJ_PU, unit)) != nullptr) {
    Processor processor{.cpu = unit->os_index,
                        .core = IndexAbove(loaded.get(), HWLOC_OBJ_CORE, unit, unit->logical_index),
                        .socket = IndexAbove(loaded.get(), HWLOC_OBJ_PACKAGE, unit, 0)};
    // Memory is beside the tree of processors, not in it.
    int numa = unit->nodeset == nullptr ? -1 : ::hwloc_bitmap_first(unit->nodeset);
    if (numa >= 0) processor.numa = static_cast<std::uint32_t>(numa);
    topology.processors.push_back(processor);
  }
  if (topology.cores == 0) topology.cores = static_cast<std::uint32_t>(topology.processors.size());
  char* xml = nullptr;
  int size = 0;  // counts the NUL
  if (::hwloc_topology_export_xmlbuffer(loaded.get(), &xml, &size, 0) == 0) {
    topology.xml = xml;
    ::hwloc_free_xmlbuffer(loaded.get(), xml);
  }
  return topology;
}

}  // namespace slipway
