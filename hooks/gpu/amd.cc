// SPDX-License-Identifier: Apache-2.0
// AMD's GPUs, as the compute driver (amdkfd) draws them in /sys/class/kfd/kfd/topology: nodes of processors
// and GPUs with properties, one "name value" a line, and links between them. Source: the kernel's
// drivers/gpu/drm/amd/amdkfd/kfd_topology.c and ROCm's documentation of GPU isolation.
#include <charconv>
#include <cstdio>
#include <map>

#include "base/text/text.h"
#include "hooks/gpu/discover.h"

namespace slipway {
namespace {

constexpr const char* kNodes = "/sys/class/kfd/kfd/topology/nodes";
constexpr std::uint64_t kXgmi = 11;  // type of an io_link

using Properties = std::map<std::string, std::uint64_t, std::less<>>;

Properties PropertiesIn(const HostTree& host, const std::string& file) {
  Properties properties;
  for (const std::string& line : Split(host.Text(file).value_or(""), '\n')) {
    auto space = line.find(' ');
    if (space == std::string::npos) continue;
    std::string_view value = Trim(std::string_view(line).substr(space + 1));
    std::uint64_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    properties[line.substr(0, space)] = number;
  }
  return properties;
}

std::uint64_t Get(const Properties& properties, std::string_view name) {
  auto found = properties.find(name);
  return found == properties.end() ? 0 : found->second;
}

std::string PciOf(const Properties& properties) {
  std::uint64_t location = Get(properties, "location_id");
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x",
                static_cast<unsigned>(Get(properties, "domain") & 0xffff),
                static_cast<unsigned>(location >> 8 & 0xff), static_cast<unsigned>(location >> 3 & 0x1f),
                static_cast<unsigned>(location & 7));
  return text;
}

std::string ModelOf(const HostTree& host, const std::string& pci, const std::string& node) {
  std::string device = Cat("/sys/bus/pci/devices/", pci);
  std::string name = host.Text(device + "/product_name").value_or("");
  if (!name.empty()) return name;
  name = host.Text(Cat(kNodes, "/", node, "/name")).value_or("");
  if (!name.empty()) return Cat("AMD ", name);
  return Cat("AMD GPU ", host.Text(device + "/device").value_or(""));
}

std::string UuidOf(std::uint64_t unique_id) {
  if (unique_id == 0) return {};
  char text[32];
  std::snprintf(text, sizeof text, "GPU-%016llx", static_cast<unsigned long long>(unique_id));
  return text;
}

// `indices`: of the GPUs by the kernel's node number.
std::vector<GpuLink> LinksOf(const HostTree& host, const std::string& node,
                             const std::map<std::uint64_t, std::uint32_t>& indices) {
  std::map<std::uint32_t, std::uint32_t> counts;
  // Newer kernels keep links between GPUs in a folder of their own.
  for (const char* kind : {"io_links", "p2p_links"}) {
    std::string folder = Cat(kNodes, "/", node, "/", kind);
    for (const std::string& link : host.Names(folder)) {
      Properties properties = PropertiesIn(host, Cat(folder, "/", link, "/properties"));
      auto peer = indices.find(Get(properties, "node_to"));
      if (Get(properties, "type") == kXgmi && peer != indices.end()) ++counts[peer->second];
    }
  }
  std::vector<GpuLink> links;
  for (auto [peer, count] : counts) links.push_back({peer, "XGMI", count});
  return links;
}

Gpu GpuOf(const HostTree& host, const std::string& node, const Properties& properties) {
  Gpu gpu{.vendor = GpuVendor::kAmd, .pci = PciOf(properties)};
  gpu.model = ModelOf(host, gpu.pci, node);
  gpu.uuid = UuidOf(Get(properties, "unique_id"));
  gpu.numa_node = NumaNodeOf(host, gpu.pci);
  std::string banks = Cat(kNodes, "/", node, "/mem_banks");
  for (const std::string& bank : host.Names(banks))
    gpu.memory_bytes += Get(PropertiesIn(host, Cat(banks, "/", bank, "/properties")), "size_in_bytes");
  std::string render = Cat("/dev/dri/renderD", Get(properties, "drm_render_minor"));
  gpu.device_nodes = DrmNodesOf(host, gpu.pci);
  if (gpu.device_nodes.empty() && host.HasDevice(render)) gpu.device_nodes.push_back(render);
  if (!host.Has(Cat("/sys/bus/pci/devices/", gpu.pci)))
    gpu.fault = "it has fallen off the bus: it needs a reset or a reboot";
  else if (!host.HasDevice(render))
    gpu.fault = Cat(render, " is missing");
  return gpu;
}

bool HasAmdHardware(const HostTree& host) {
  for (const std::string& card : host.Names("/sys/class/drm")) {
    if (card.starts_with("renderD") && host.Number(Cat("/sys/class/drm/", card, "/device/vendor")) == 0x1002)
      return true;
  }
  return false;
}

}  // namespace

void DiscoverAmd(const HostTree& host, GpuInventory& inventory) {
  std::map<std::uint64_t, std::uint32_t> indices;
  std::map<std::string, Gpu> found;  // by PCI address
  std::map<std::string, std::string> nodes;
  for (const std::string& node : host.Names(kNodes)) {
    Properties properties = PropertiesIn(host, Cat(kNodes, "/", node, "/properties"));
    if (Get(properties, "simd_count") == 0 || Get(properties, "vendor_id") != 0x1002) continue;
    Gpu gpu = GpuOf(host, node, properties);
    // Accelerators that are split into partitions are several nodes at one address.
    std::string key = Cat(gpu.pci, " ", std::string(8 - std::min<std::size_t>(8, node.size()), '0'), node);
    nodes[key] = node;
    found[key] = std::move(gpu);
  }
  if (found.empty()) {
    if (HasAmdHardware(host) && !host.Has(kNodes))
      inventory.notes.push_back("there is an AMD GPU without compute: the kernel's amdkfd is not there");
    return;
  }
  GpuDriver driver{.vendor = GpuVendor::kAmd, .device_nodes = {"/dev/kfd"}};
  // The kernel's own amdgpu has no version beside the kernel's.
  driver.version =
      host.Text("/sys/module/amdgpu/version").value_or(host.Text("/proc/sys/kernel/osrelease").value_or(""));
  if (!host.HasDevice("/dev/kfd")) driver.fault = "/dev/kfd is missing: the amdgpu module makes it";
  std::uint32_t index = 0;
  for (auto& [key, gpu] : found) {
    gpu.index = index++;
    std::uint64_t number = 0;
    const std::string& node = nodes[key];
    std::from_chars(node.data(), node.data() + node.size(), number);
    indices[number] = gpu.index;
  }
  for (auto& [key, gpu] : found) {
    gpu.links = LinksOf(host, nodes[key], indices);
    inventory.gpus.push_back(std::move(gpu));
  }
  inventory.drivers.push_back(std::move(driver));
}

}  // namespace slipway
