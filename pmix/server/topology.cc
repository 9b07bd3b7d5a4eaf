// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/topology.h"

#include "base/result/result.h"

namespace slipway {
namespace {

bool LoadKnown(const std::string& xml, hwloc_topology_t* topology) {
  if (xml.empty() || hwloc_topology_init(topology) != 0) return false;
  if (hwloc_topology_set_xmlbuffer(*topology, xml.c_str(), static_cast<int>(xml.size()) + 1) == 0 &&
      hwloc_topology_set_flags(*topology, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM) == 0 &&
      hwloc_topology_load(*topology) == 0)
    return true;
  hwloc_topology_destroy(*topology);
  return false;
}

}  // namespace

LoadedTopology LoadTopology(const std::string& known) {
  LoadedTopology topology;
  if (!LoadKnown(known, &topology.handle) &&
      (hwloc_topology_init(&topology.handle) != 0 || hwloc_topology_load(topology.handle) != 0))
    return {};
  char* xml = nullptr;
  int size = 0;
  if (hwloc_topology_export_xmlbuffer(topology.handle, &xml, &size, 0) != 0) return {};
  topology.xml = xml;  // size counts the NUL
  hwloc_free_xmlbuffer(topology.handle, xml);
  unsigned number = hwloc_get_api_version();
  topology.source = Cat("hwloc:", number >> 16, ".", number >> 8 & 0xff, ".", number & 0xff);
  return topology;
}

}  // namespace slipway
