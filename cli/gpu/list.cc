// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/gpu/subcommands.h"
#include "cli/show/table.h"
#include "hooks/gpu/nvml.h"

namespace slipway::cli {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kSomeFaulty = 1, kNone = 3;

Json UnitJson(const GpuUnit& unit, std::size_t number) {
  Json links = Json::array();
  for (const GpuLink& link : unit.links)
    links.push_back({{"gpu", link.peer}, {"kind", link.kind}, {"count", link.count}});
  return {{"number", number},
          {"device", Cat(CdiKindOf(unit.vendor), "=", unit.name)},
          {"type", unit.type},
          {"model", unit.model},
          {"uuid", unit.uuid},
          {"pci", unit.pci},
          {"memory_bytes", unit.memory_bytes},
          {"numa_node", unit.numa_node},
          {"device_nodes", unit.device_nodes},
          {"links", links}};
}

Json DriverJson(const GpuSupport& support, const GpuDriver& driver) {
  Json json = {{"vendor", VendorName(driver.vendor)},
               {"version", driver.version},
               {"cuda", driver.cuda},
               {"fault", driver.fault}};
  for (const VendorFiles& files : support.files) {
    if (files.vendor != driver.vendor) continue;
    if (driver.fault.empty()) json["fault"] = files.fault;
    json["libraries"] = files.files.libraries.size();
  }
  return json;
}

Json SupportJson(const GpuSupport& support, const std::vector<GpuUnit>& units) {
  Json json = {{"gpus", Json::array()},
               {"faulty", Json::array()},
               {"drivers", Json::array()},
               {"notes", support.inventory.notes}};
  for (std::size_t i = 0; i < units.size(); ++i) json["gpus"].push_back(UnitJson(units[i], i));
  for (const Gpu& gpu : support.inventory.gpus) {
    if (!gpu.fault.empty())
      json["faulty"].push_back({{"vendor", VendorName(gpu.vendor)},
                                {"pci", gpu.pci},
                                {"model", gpu.model},
                                {"uuid", gpu.uuid},
                                {"fault", gpu.fault}});
  }
  for (const GpuDriver& driver : support.inventory.drivers)
    json["drivers"].push_back(DriverJson(support, driver));
  return json;
}

std::string MemoryText(std::uint64_t bytes) { return bytes == 0 ? "-" : FormatBytes(bytes); }

std::string LinksText(const GpuUnit& unit) {
  std::vector<std::string> texts;
  for (const GpuLink& link : unit.links) texts.push_back(Cat(link.peer, ":", link.count, "x", link.kind));
  return texts.empty() ? "-" : Join(texts, " ");
}

void ShowTable(const GpuSupport& support, const std::vector<GpuUnit>& units) {
  Table table(
      {{"DEVICE"}, {"TYPE"}, {"MODEL"}, {"MEMORY", true}, {"PCI"}, {"NUMA", true}, {"LINKS"}, {"NOTE"}});
  for (const GpuUnit& unit : units)
    table.Add({Cat(CdiKindOf(unit.vendor), "=", unit.name), unit.type, unit.model,
               MemoryText(unit.memory_bytes), unit.pci, Cat(unit.numa_node), LinksText(unit), ""});
  for (const Gpu& gpu : support.inventory.gpus) {
    std::string note = gpu.integrated ? "of the processor: not given to jobs" : gpu.fault;
    if (gpu.sliced && gpu.slices.empty()) note = "in MIG mode without an instance";
    if (!note.empty())
      table.Add({CdiKindOf(gpu.vendor), "-", gpu.model, MemoryText(gpu.memory_bytes), gpu.pci,
                 Cat(gpu.numa_node), "-", note});
  }
  if (!table.empty()) Print(table.Text(WantsColour(1)));
  for (const GpuDriver& driver : support.inventory.drivers) {
    std::string fault = driver.fault;
    for (const VendorFiles& files : support.files) {
      if (files.vendor == driver.vendor && fault.empty()) fault = files.fault;
    }
    Print(Cat(VendorName(driver.vendor), " driver ", driver.version,
              driver.cuda.empty() ? "" : Cat(", CUDA up to ", driver.cuda), fault.empty() ? "" : ": ", fault,
              "\n"));
  }
  for (const std::string& note : support.inventory.notes) Print(Cat(note, "\n"));
}

bool AllGood(const GpuSupport& support) {
  for (const Gpu& gpu : support.inventory.gpus) {
    if (!gpu.fault.empty()) return false;
  }
  for (const GpuDriver& driver : support.inventory.drivers) {
    if (!driver.fault.empty()) return false;
  }
  for (const VendorFiles& files : support.files) {
    if (!files.fault.empty()) return false;
  }
  return true;
}

Result<int> List(const Parsed& options) {
  GpuSupport support = TRY(LookAtHost(options.Value("host-root")));
  std::vector<GpuUnit> units = UnitsOf(support.inventory);
  if (options.Has("json")) {
    Print(SupportJson(support, units).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    ShowTable(support, units);
    if (support.inventory.gpus.empty()) Print("no GPU on this host\n");
  }
  if (support.inventory.gpus.empty()) return kNone;
  return AllGood(support) ? 0 : kSomeFaulty;
}

}  // namespace

Result<GpuSupport> LookAtHost(const std::string& root) {
  constexpr std::chrono::seconds kDeadline{20};
  HostTree host = TRY(HostTree::At(root.empty() ? "/" : root));
  std::unique_ptr<NvmlSource> nvml = MakeNvml(NvmlLibraryOf(host));
  NvmlInChild patient(*nvml, kDeadline);
  return FindGpuSupport(host, host.recorded() ? nullptr : &patient);
}

const Subcommand kGpuList{{kGpuWord, "list"}, DeclareGpuList, List};

}  // namespace slipway::cli
