// SPDX-License-Identifier: Apache-2.0
#include "agent/node/node_gpus.h"

#include <algorithm>

#include "base/text/text.h"
#include "hooks/cdi/devices.h"
#include "hooks/fabric/fabric.h"
#include "hooks/gpu/nvml.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kDriverDeadline{30};

using Units = std::vector<const GpuUnit*>;

Result<Units> UnitsById(const v1::LaunchStep& launch, const NodeDevices& devices) {
  Units units;
  for (const std::string& id : launch.gpu_ids()) {
    auto found = std::find_if(devices.units.begin(), devices.units.end(),
                              [&](const GpuUnit& unit) { return GpuIdOf(unit) == id; });
    if (found == devices.units.end())
      return Fail(Code::kFailedPrecondition, "GPU ", Printable(id.substr(0, 128)),
                  " is not on this node any more: see `slipway gpu list` there; its agent looks anew once "
                  "nothing runs there");
    units.push_back(&*found);
  }
  return units;
}

// Where the driver or the MIG instances are others than when the agent started, ids are wrong; where only
// files moved (any package may run ldconfig), they are looked for again.
Result<> CheckUnchanged(NodeDevices& devices, const Units& units) {
  HostTree host = TRY(HostTree::At(devices.host_root));
  if (HardwareFingerprint(host) != devices.gpus.hardware)
    return Fail(
        Code::kFailedPrecondition,
        "the GPUs or their driver are not those that slipway-agent found when it started: it looks anew "
        "once nothing runs here");
  if (GpuFingerprint(host) != devices.gpus.fingerprint) RefreshDriverFiles(host, devices.gpus);
  for (const GpuUnit* unit : units) {
    if (unit->vendor == GpuVendor::kNvidia && IsOffTheBus(host, unit->pci))
      return Fail(Code::kFailedPrecondition, "GPU ", GpuIdOf(*unit), " (", unit->pci,
                  ") has fallen off the bus: it needs a reset or a reboot");
  }
  return {};
}

// By UUID where the site's file has that name, else by index.
Result<std::string> SiteName(const GpuUnit& unit, const std::vector<std::string>& names) {
  for (const std::string& name : {unit.uuid, unit.name}) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) != names.end())
      return Cat(CdiKindOf(unit.vendor), "=", name);
  }
  return Fail(Code::kNotFound, "the site's CDI files speak of ", CdiKindOf(unit.vendor), " and not of ",
              unit.name, unit.uuid.empty() ? "" : Cat(" or ", unit.uuid));
}

Result<ContainerEdits> EditsOf(const Units& units, const NodeDevices& devices, const ImageLibraries& image,
                               const std::vector<std::string>& cdi_folders, std::vector<std::string>& notes) {
  Units ours;
  std::vector<std::string> sites;
  for (const GpuUnit* unit : units) {
    std::vector<std::string> names = TRY(DevicesOfKind(CdiKindOf(unit->vendor), cdi_folders));
    if (names.empty())
      ours.push_back(unit);
    else
      sites.push_back(TRY(SiteName(*unit, names)));
  }
  CdiAnswer site = TRY(ResolveDevices(sites, cdi_folders));
  for (std::string& warning : site.warnings) notes.push_back(std::move(warning));
  ContainerEdits edits = TRY(EditsOfUnits(devices.gpus, ours, image, false, notes));
  TRY(MergeEdits(edits, site.edits));
  return edits;
}

// The NUMA node of a rank's first processor; none where its processors are not its own or not known.
std::optional<std::uint32_t> NumaOfRank(const StepSpec& spec, const NodeDevices& devices, std::size_t rank) {
  if (rank >= spec.rank_cpus.size() || spec.rank_cpus[rank].empty()) return {};
  auto at = devices.numa_of_cpu.find(spec.rank_cpus[rank].front());
  return at == devices.numa_of_cpu.end() ? std::nullopt : std::optional(at->second);
}

// `per_task` for each rank: first every rank takes what is on its side of the machine, then what is left.
std::vector<Units> UnitsByRank(Units left, std::uint32_t per_task, const NodeDevices& devices,
                               const StepSpec& spec) {
  std::vector<Units> ranks(spec.ranks[spec.node_index].size());
  for (bool near : {true, false}) {
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      auto side = NumaOfRank(spec, devices, rank);
      for (auto at = left.begin(); at != left.end() && ranks[rank].size() < per_task;) {
        bool suits = !near || (side && (*at)->numa_node == static_cast<int>(*side));
        if (suits) ranks[rank].push_back(*at);
        at = suits ? left.erase(at) : at + 1;
      }
    }
  }
  return ranks;
}

// What follows the device nodes: the variables, by rank where each has GPUs of its own.
void NameGpus(const Units& units, std::uint32_t per_task, const NodeDevices& devices, LaunchPlan& plan) {
  std::size_t ranks = plan.spec.ranks[plan.spec.node_index].size();
  if (per_task == 0 || ranks * per_task != units.size()) {
    ApplyEdits({.env = VisibleOf(units)}, plan.spec);
    return;
  }
  std::string prefix = devices.host_root == "/" ? "" : devices.host_root;
  for (const Units& own : UnitsByRank(units, per_task, devices, plan.spec)) {
    TaskDevices task{.env = VisibleOf(own)};
    for (const GpuUnit* unit : own) {
      for (const std::string& node : unit->device_nodes) {
        if (std::find(task.nodes.begin(), task.nodes.end(), prefix + node) == task.nodes.end())
          task.nodes.push_back(prefix + node);
      }
    }
    plan.spec.task_devices.push_back(std::move(task));
  }
}

// What the kernel lets each rank open: what several need is the step's, a GPU's own nodes are its rank's
// alone.
void FenceDevices(const ContainerEdits& edits, LaunchPlan& plan) {
  const std::vector<TaskDevices>& tasks = plan.spec.task_devices;
  bool apart = tasks.size() <= kDeviceTasksMax;
  if (apart) plan.devices.of_tasks.resize(tasks.size());
  for (const DeviceNode& node : edits.devices) {
    auto rule = DeviceAt(node.host_path);
    if (!rule) continue;  // of a recorded host, or gone: then the container says so
    bool owned = false;
    for (std::size_t task = 0; apart && task < tasks.size(); ++task) {
      const std::vector<std::string>& own = tasks[task].nodes;
      if (std::find(own.begin(), own.end(), node.host_path) == own.end()) continue;
      plan.devices.of_tasks[task].push_back(*rule);
      owned = true;
    }
    if (!owned) plan.devices.of_step.push_back(*rule);
  }
}

}  // namespace

std::string GpuIdOf(const GpuUnit& unit) {
  if (!unit.uuid.empty()) return unit.uuid;
  auto colon = unit.name.find(':');
  return Cat(unit.pci, colon == std::string::npos ? "" : unit.name.substr(colon));
}

Result<NodeDevices> FindNodeDevices(const DeviceSettings& settings) {
  NodeDevices devices{.host_root = settings.host_root};
  HostTree host = TRY_CONTEXT(HostTree::At(settings.host_root), "agent.host_root");
  if (settings.gpus) {
    std::unique_ptr<NvmlSource> nvml = MakeNvml(NvmlLibraryOf(host));
    NvmlInChild patient(*nvml, kDriverDeadline);
    NvmlSource* source = host.recorded() ? nullptr : &patient;
    devices.gpus = settings.cache_file.empty() ? FindGpuSupport(host, source)
                                               : CachedGpuSupport(host, source, settings.cache_file);
    devices.units = UnitsOf(devices.gpus.inventory);
  }
  if (settings.fabrics) {
    std::vector<Fabric> fabrics = FindFabrics(host);
    devices.fabrics = EditsOfFabrics(fabrics, host);
    for (const Fabric& fabric : fabrics) devices.fabric_names.push_back(fabric.name);
  }
  return devices;
}

std::vector<std::string> NvmlIdsOf(const NodeDevices& devices) {
  std::vector<std::string> ids;
  for (const GpuUnit& unit : devices.units) {
    if (unit.vendor == GpuVendor::kNvidia) ids.push_back(GpuIdOf(unit));
  }
  return ids;
}

void AddGpuUnits(const NodeDevices& devices, v1::Node& facts) {
  for (const GpuUnit& unit : devices.units) {
    v1::GpuUnit& out = *facts.add_gpu_units();
    out.set_id(GpuIdOf(unit));
    out.set_type(unit.type);
    out.set_model(unit.model);
    out.set_pci(unit.pci);
    out.set_memory_bytes(unit.memory_bytes);
    out.set_numa_node(unit.numa_node);
    for (const GpuLink& link : unit.links) {
      auto peer = std::find_if(devices.units.begin(), devices.units.end(), [&](const GpuUnit& other) {
        return other.vendor == unit.vendor && other.name == Cat(link.peer);
      });
      if (peer == devices.units.end()) continue;
      v1::GpuLink& to = *out.add_links();
      to.set_id(GpuIdOf(*peer));
      to.set_kind(link.kind);
      to.set_count(link.count);
    }
  }
}

Result<> AddNodeDevices(const v1::LaunchStep& launch, NodeDevices& devices,
                        const std::vector<std::string>& cdi_folders, LaunchPlan& plan,
                        std::vector<std::string>& notes) {
  ContainerEdits edits = devices.fabrics;
  if (launch.gpu_ids_size() != 0) {
    Units units = TRY(UnitsById(launch, devices));
    TRY(CheckUnchanged(devices, units));
    TRY(MergeEdits(edits, TRY(EditsOf(units, devices, {.libc = launch.image_libc()}, cdi_folders, notes))));
    NameGpus(units, launch.gpus_per_task(), devices, plan);
  }
  FenceDevices(edits, plan);
  ApplyEdits(edits, plan.spec);
  return {};
}

}  // namespace slipway
