// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/gpu.h"

#include <algorithm>
#include <array>

#include "base/text/text.h"

namespace slipway {
namespace {

bool StartsWithDigit(std::string_view word) { return !word.empty() && word[0] >= '0' && word[0] <= '9'; }

// Words of a model's name that do not tell one kind of GPU from another at a site.
bool IsNoise(std::string_view word) {
  static constexpr std::array kNoise = {
      "nvidia", "tesla",  "quadro", "geforce",  "amd",         "instinct", "radeon", "intel",    "intel(r)",
      "data",   "center", "gpu",    "graphics", "corporation", "advanced", "micro",  "devices,", "inc."};
  return std::find(kNoise.begin(), kNoise.end(), word) != kNoise.end();
}

// From here on a name tells the form, the memory or the bus.
bool EndsTheType(std::string_view word) {
  for (std::string_view form : {"sxm", "pcie", "pci", "hbm", "nvl", "oam", "mig"}) {
    if (word.starts_with(form)) return true;
  }
  return StartsWithDigit(word) && (word.ends_with("gb") || word.ends_with("g"));
}

GpuUnit UnitOf(const Gpu& gpu, const GpuDriver& driver) {
  GpuUnit unit{.vendor = gpu.vendor,
               .name = Cat(gpu.index),
               .type = TypeOfModel(gpu.model),
               .model = gpu.model,
               .uuid = gpu.uuid,
               .pci = gpu.pci,
               .memory_bytes = gpu.memory_bytes,
               .numa_node = gpu.numa_node,
               .device_nodes = driver.device_nodes,
               .visible = gpu.uuid,
               .links = gpu.links};
  unit.device_nodes.insert(unit.device_nodes.end(), gpu.device_nodes.begin(), gpu.device_nodes.end());
  return unit;
}

}  // namespace

const char* VendorName(GpuVendor vendor) {
  return vendor == GpuVendor::kNvidia ? "NVIDIA" : vendor == GpuVendor::kAmd ? "AMD" : "Intel";
}

const char* CdiKindOf(GpuVendor vendor) {
  return vendor == GpuVendor::kNvidia ? "nvidia.com/gpu"
         : vendor == GpuVendor::kAmd  ? "amd.com/gpu"
                                      : "intel.com/gpu";
}

const char* VisibleVariable(GpuVendor vendor) {
  return vendor == GpuVendor::kNvidia ? "CUDA_VISIBLE_DEVICES"
         : vendor == GpuVendor::kAmd  ? "ROCR_VISIBLE_DEVICES"
                                      : "ZE_AFFINITY_MASK";
}

const GpuDriver* GpuInventory::DriverOf(GpuVendor vendor) const {
  for (const GpuDriver& driver : drivers) {
    if (driver.vendor == vendor) return &driver;
  }
  return nullptr;
}

std::string TypeOfModel(std::string_view model) {
  std::string lower;
  for (char c : model)
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : (c == '-' || c == '/') ? ' ' : c;
  std::string type;
  for (const std::string& word : Split(lower, ' ')) {
    if (word.empty() || IsNoise(word)) continue;
    if (EndsTheType(word)) break;
    std::string plain;
    for (char c : word) {
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.') plain += c;
    }
    if (!plain.empty()) type += Cat(type.empty() ? "" : "_", plain);
  }
  return type.empty() ? "gpu" : type.substr(0, 40);
}

std::vector<GpuUnit> UnitsOf(const GpuInventory& inventory) {
  std::vector<GpuUnit> units;
  for (const Gpu& gpu : inventory.gpus) {
    const GpuDriver* driver = inventory.DriverOf(gpu.vendor);
    if (driver == nullptr || !driver->fault.empty() || !gpu.fault.empty() || gpu.integrated) continue;
    if (!gpu.sliced) {
      units.push_back(UnitOf(gpu, *driver));
      continue;
    }
    for (std::size_t i = 0; i < gpu.slices.size(); ++i) {
      const GpuSlice& slice = gpu.slices[i];
      GpuUnit unit = UnitOf(gpu, *driver);
      unit.name += Cat(":", i);
      unit.type += Cat("_", slice.profile.empty() ? "mig" : slice.profile);
      unit.uuid = unit.visible = slice.uuid;
      unit.memory_bytes = slice.memory_bytes;
      unit.links.clear();
      unit.device_nodes.insert(unit.device_nodes.end(), slice.device_nodes.begin(), slice.device_nodes.end());
      units.push_back(std::move(unit));
    }
  }
  return units;
}

std::vector<std::string> VisibleOf(const std::vector<const GpuUnit*>& units) {
  std::vector<std::string> variables;
  for (GpuVendor vendor : kGpuVendors) {
    std::vector<std::string> values;
    bool named = true;
    std::size_t count = 0;
    for (const GpuUnit* unit : units) {
      if (unit->vendor != vendor) continue;
      ++count;
      named = named && !unit->visible.empty();
      values.push_back(unit->visible);
    }
    if (count == 0) continue;
    // Libraries count what they can open, from 0.
    for (std::size_t i = 0; i < count && !named; ++i) values[i] = Cat(i);
    variables.push_back(Cat(VisibleVariable(vendor), "=", Join(values, ",")));
  }
  return variables;
}

}  // namespace slipway
