// SPDX-License-Identifier: Apache-2.0
// NVIDIA's GPUs. The kernel module shows each in /proc/driver/nvidia/gpus/PCI/information with its minor
// number, which is that of /dev/nvidiaN; MIG instances in /proc/driver/nvidia/capabilities, each with the
// minor number of its /dev/nvidia-caps node. Source: NVIDIA's driver README, chapters on /proc and device
// files, and its MIG User Guide, "Device Nodes and Capabilities".
#include <algorithm>
#include <charconv>
#include <map>

#include "base/text/text.h"
#include "hooks/gpu/discover.h"

namespace slipway {
namespace {

constexpr const char* kGpuFolder = "/proc/driver/nvidia/gpus";

// "Key: \t value" lines.
std::map<std::string, std::string> KeysOf(std::string_view text) {
  std::map<std::string, std::string> keys;
  for (const std::string& line : Split(text, '\n')) {
    auto colon = line.find(':');
    if (colon != std::string::npos)
      keys[std::string(Trim(std::string_view(line).substr(0, colon)))] =
          Trim(std::string_view(line).substr(colon + 1));
  }
  return keys;
}

bool IsVersion(std::string_view word) {
  return word.find('.') != std::string_view::npos &&
         word.find_first_not_of("0123456789.") == std::string_view::npos;
}

// "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build …"
std::string ModuleVersion(const HostTree& host) {
  auto text = host.Text("/proc/driver/nvidia/version");
  if (text) {
    for (const std::string& word : Split(text->substr(0, text->find('\n')), ' ')) {
      if (IsVersion(word)) return word;
    }
  }
  return host.Text("/sys/module/nvidia/version").value_or("");
}

std::optional<std::uint32_t> NumberIn(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The node that a process must be able to open to use the instance.
std::optional<std::string> CapabilityNode(const HostTree& host, const std::string& folder) {
  auto text = host.Text(Cat(folder, "/access"));
  if (!text) return std::nullopt;
  auto minor = KeysOf(*text)["DeviceFileMinor"];
  if (!NumberIn(minor, "")) return std::nullopt;
  return Cat("/dev/nvidia-caps/nvidia-cap", minor);
}

// In the order in which the driver numbers MIG devices: by GPU instance, then compute instance.
std::vector<GpuSlice> SlicesInFiles(const HostTree& host, std::uint32_t minor) {
  std::string mig = Cat("/proc/driver/nvidia/capabilities/gpu", minor, "/mig");
  std::vector<GpuSlice> slices;
  for (const std::string& instance : host.Names(mig)) {
    auto gpu_instance = NumberIn(instance, "gi");
    if (!gpu_instance) continue;
    std::string folder = Cat(mig, "/", instance);
    for (const std::string& compute : host.Names(folder)) {
      auto compute_instance = NumberIn(compute, "ci");
      if (!compute_instance) continue;
      GpuSlice slice{.gpu_instance = *gpu_instance, .compute_instance = *compute_instance};
      for (const std::string& where : {folder, Cat(folder, "/", compute)}) {
        auto node = CapabilityNode(host, where);
        if (node && host.HasDevice(*node)) slice.device_nodes.push_back(*node);
      }
      slices.push_back(std::move(slice));
    }
  }
  std::sort(slices.begin(), slices.end(), [](const GpuSlice& a, const GpuSlice& b) {
    return std::pair(a.gpu_instance, a.compute_instance) < std::pair(b.gpu_instance, b.compute_instance);
  });
  return slices;
}

std::string FaultInFiles(const HostTree& host, const std::string& pci, const std::string& node,
                         const std::map<std::string, std::string>& keys) {
  if (IsOffTheBus(host, pci))
    return "it has fallen off the bus: it needs a reset or a reboot (see Xid 79 in the kernel's log)";
  auto excluded = keys.find("GPU Excluded");
  if (excluded != keys.end() && excluded->second == "Yes")
    return "the driver was told to leave it out (NVreg_ExcludedGpus)";
  if (!host.HasDevice(node)) return Cat(node, " is missing: nvidia-modprobe makes it (as root)");
  return {};
}

void FindGpus(const HostTree& host, GpuInventory& inventory) {
  std::uint32_t index = 0;
  for (const std::string& pci : host.Names(kGpuFolder)) {
    auto text = host.Text(Cat(kGpuFolder, "/", pci, "/information"));
    auto keys = KeysOf(text.value_or(""));
    Gpu gpu{.vendor = GpuVendor::kNvidia, .index = index++, .model = keys["Model"], .pci = pci};
    auto minor = NumberIn(keys["Device Minor"], "");
    std::string node = Cat("/dev/nvidia", minor.value_or(gpu.index));
    gpu.numa_node = NumaNodeOf(host, pci);
    // Until somebody has used the GPU the driver does not know, and writes question marks.
    if (keys["GPU UUID"].find('?') == std::string::npos) gpu.uuid = keys["GPU UUID"];
    gpu.fault = FaultInFiles(host, pci, node, keys);
    if (!text && gpu.fault.empty()) gpu.fault = "the driver says nothing about it";
    gpu.device_nodes.push_back(node);
    for (std::string& drm : DrmNodesOf(host, pci)) gpu.device_nodes.push_back(std::move(drm));
    if (minor) gpu.slices = SlicesInFiles(host, *minor);
    gpu.sliced = !gpu.slices.empty();
    inventory.gpus.push_back(std::move(gpu));
  }
}

std::string ProfileOf(std::string_view name) {
  auto mig = name.find("MIG ");
  return mig == std::string_view::npos ? std::string() : std::string(Trim(name.substr(mig + 4)));
}

void AddSlices(const NvmlGpu& said, Gpu& gpu) {
  gpu.sliced = said.mig;
  for (const NvmlSlice& one : said.slices) {
    for (GpuSlice& slice : gpu.slices) {
      if (slice.gpu_instance != one.gpu_instance || slice.compute_instance != one.compute_instance) continue;
      slice.profile = ProfileOf(one.name);
      slice.uuid = one.uuid;
      slice.memory_bytes = one.memory_bytes;
    }
  }
}

// Links that end at another GPU are counted for it; those that end at a switch reach every GPU that has some.
void AddLinks(const NvmlAnswer& said, GpuInventory& inventory) {
  auto index_of = [&](const std::string& pci) -> const Gpu* {
    for (const Gpu& gpu : inventory.gpus) {
      if (gpu.vendor == GpuVendor::kNvidia && gpu.pci == pci) return &gpu;
    }
    return nullptr;
  };
  std::map<std::uint32_t, std::uint32_t> to_switch;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> counts;
  for (const NvmlGpu& one : said.gpus) {
    const Gpu* from = index_of(one.pci);
    if (from == nullptr) continue;
    for (const std::string& remote : one.links) {
      const Gpu* to = index_of(remote);
      to != nullptr ? ++counts[{from->index, to->index}] : ++to_switch[from->index];
    }
  }
  for (auto [from, mine] : to_switch) {
    for (auto [to, theirs] : to_switch) {
      if (from != to) counts[{from, to}] += std::min(mine, theirs);
    }
  }
  for (Gpu& gpu : inventory.gpus) {
    if (gpu.vendor != GpuVendor::kNvidia) continue;
    for (auto [ends, count] : counts) {
      if (ends.first == gpu.index) gpu.links.push_back({ends.second, "NVLink", count});
    }
  }
}

void TakeNvml(const NvmlAnswer& said, GpuInventory& inventory, GpuDriver& driver) {
  driver.cuda = said.cuda;
  for (const NvmlGpu& one : said.gpus) {
    for (Gpu& gpu : inventory.gpus) {
      if (gpu.vendor != GpuVendor::kNvidia || gpu.pci != one.pci) continue;
      if (one.lost) {
        if (gpu.fault.empty()) gpu.fault = "the driver has lost it: it needs a reset or a reboot";
        continue;
      }
      if (one.uncorrectable != 0 && gpu.fault.empty())
        gpu.fault = Cat("it has uncorrectable memory errors: ", one.uncorrectable, "; it needs a reset");
      if (!one.name.empty()) gpu.model = one.name;
      if (!one.uuid.empty()) gpu.uuid = one.uuid;
      gpu.memory_bytes = one.memory_bytes;
      AddSlices(one, gpu);
    }
  }
  AddLinks(said, inventory);
}

// Those that every process with a GPU opens. The first is made when the module is loaded, the others on
// demand by nvidia-modprobe, which a container cannot run.
void FindSharedNodes(const HostTree& host, GpuDriver& driver) {
  for (const char* node :
       {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"}) {
    if (host.HasDevice(node)) driver.device_nodes.push_back(node);
  }
  for (const char* node : {"/dev/nvidiactl", "/dev/nvidia-uvm"}) {
    if (host.HasDevice(node) || !driver.fault.empty()) continue;
    driver.fault = Cat(node, " is missing: as root, nvidia-modprobe -u -c=0 makes it");
  }
  for (const std::string& channel : host.Names("/dev/nvidia-caps-imex-channels")) {
    std::string node = Cat("/dev/nvidia-caps-imex-channels/", channel);
    if (host.HasDevice(node)) driver.device_nodes.push_back(node);
  }
}

bool HasNvidiaHardware(const HostTree& host) {
  for (const std::string& pci : host.Names("/sys/bus/pci/devices")) {
    std::string device = Cat("/sys/bus/pci/devices/", pci);
    // Class 0x03….. is a display controller, 3D ones among them.
    if (host.Number(device + "/vendor") == 0x10de &&
        host.Text(device + "/class").value_or("").starts_with("0x03"))
      return true;
  }
  return false;
}

}  // namespace

void DiscoverNvidia(const HostTree& host, NvmlSource* nvml, GpuInventory& inventory) {
  GpuDriver driver{.vendor = GpuVendor::kNvidia, .version = ModuleVersion(host)};
  if (driver.version.empty() && !host.Has(kGpuFolder)) {
    if (HasNvidiaHardware(host))
      inventory.notes.push_back(
          "there is NVIDIA hardware and no NVIDIA driver: its kernel module is not loaded (nouveau cannot "
          "compute)");
    return;
  }
  FindGpus(host, inventory);
  FindSharedNodes(host, driver);
  if (nvml != nullptr) {
    auto said = nvml->Ask();
    if (said) {
      TakeNvml(*said, inventory, driver);
    } else {
      inventory.incomplete = said.error().code != Code::kNotFound;
      inventory.notes.push_back(
          Cat("NVML: ", said.error().message, "; models, UUIDs of MIG devices and links may be unknown"));
    }
  }
  inventory.drivers.push_back(std::move(driver));
}

}  // namespace slipway
