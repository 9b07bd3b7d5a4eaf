// SPDX-License-Identifier: Apache-2.0
// Intel's GPUs: render nodes of the i915 and xe drivers. The kernel gives no names, so those of the data
// centre's are here. Source: the kernel's include/drm/intel/pciids.h.
#include <array>
#include <map>

#include "base/text/text.h"
#include "hooks/gpu/discover.h"

namespace slipway {
namespace {

struct Name {
  std::int64_t device;
  const char* model;
};
constexpr std::array<Name, 8> kNames = {{{0x0bd5, "Intel Data Center GPU Max 1550"},
                                         {0x0bd6, "Intel Data Center GPU Max 1550"},
                                         {0x0bd9, "Intel Data Center GPU Max 1100"},
                                         {0x0bda, "Intel Data Center GPU Max 1100"},
                                         {0x0bdb, "Intel Data Center GPU Max 1100"},
                                         {0x56c0, "Intel Data Center GPU Flex 170"},
                                         {0x56c1, "Intel Data Center GPU Flex 140"},
                                         {0x56c2, "Intel Data Center GPU Flex 170V"}}};

std::string ModelOf(const HostTree& host, const std::string& device) {
  std::int64_t id = host.Number(device + "/device").value_or(0);
  for (const Name& name : kNames) {
    if (name.device == id) return name.model;
  }
  return Cat("Intel GPU ", host.Text(device + "/device").value_or(""));
}

}  // namespace

void DiscoverIntel(const HostTree& host, GpuInventory& inventory) {
  std::map<std::string, Gpu> found;  // by PCI address
  std::string module;
  for (const std::string& render : host.Names("/sys/class/drm")) {
    std::string device = Cat("/sys/class/drm/", render, "/device");
    if (!render.starts_with("renderD") || host.Number(device + "/vendor") != 0x8086) continue;
    std::string driver = host.Resolve(device + "/driver").value_or("");
    driver.erase(0, driver.rfind('/') + 1);
    if (driver != "xe" && driver != "i915") continue;
    std::string path = host.Resolve(device).value_or("");
    std::string pci = path.substr(path.rfind('/') + 1);
    Gpu gpu{.vendor = GpuVendor::kIntel, .model = ModelOf(host, device), .pci = pci};
    gpu.numa_node = NumaNodeOf(host, pci);
    gpu.device_nodes = DrmNodesOf(host, pci);
    // The processor's own is always this one.
    gpu.integrated = pci == "0000:00:02.0";
    std::string node = Cat("/dev/dri/", render);
    if (!host.HasDevice(node)) gpu.fault = Cat(node, " is missing");
    module = driver;
    found[pci] = std::move(gpu);
  }
  if (found.empty()) return;
  GpuDriver driver{.vendor = GpuVendor::kIntel};
  driver.version =
      Cat(module, " of Linux ", host.Text("/proc/sys/kernel/osrelease").value_or("of unknown version"));
  std::uint32_t index = 0;
  for (auto& [pci, gpu] : found) {
    gpu.index = index++;
    inventory.gpus.push_back(std::move(gpu));
  }
  inventory.drivers.push_back(std::move(driver));
}

}  // namespace slipway
