// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/discover.h"

#include "base/text/text.h"

namespace slipway {

std::vector<std::string> DrmNodesOf(const HostTree& host, const std::string& pci) {
  std::vector<std::string> nodes;
  for (const std::string& name : host.Names(Cat("/sys/bus/pci/devices/", pci, "/drm"))) {
    std::string node = Cat("/dev/dri/", name);
    if ((name.starts_with("render") || name.starts_with("card")) && host.HasDevice(node))
      nodes.push_back(node);
  }
  return nodes;
}

std::int32_t NumaNodeOf(const HostTree& host, const std::string& pci) {
  return static_cast<std::int32_t>(host.Number(Cat("/sys/bus/pci/devices/", pci, "/numa_node")).value_or(-1));
}

bool IsOffTheBus(const HostTree& host, const std::string& pci) {
  std::string device = Cat("/sys/bus/pci/devices/", pci);
  if (!host.Has(device)) return true;
  // What a configuration space answers when there is no device: ones.
  // Of all of it, a privileged reader of a slow bridge would wait 20 ms for the 4 KiB.
  return host.Head(device + "/config", 4) == "\xff\xff\xff\xff";
}

GpuInventory DiscoverGpus(const HostTree& host, NvmlSource* nvml) {
  GpuInventory inventory;
  DiscoverNvidia(host, nvml, inventory);
  DiscoverAmd(host, inventory);
  DiscoverIntel(host, inventory);
  return inventory;
}

std::string HardwareFingerprint(const HostTree& host) {
  std::string print = Cat("1\n", host.Text("/proc/sys/kernel/random/boot_id").value_or(""), "\n");
  for (const char* file : {"/proc/driver/nvidia/version", "/sys/module/nvidia/version",
                           "/sys/module/amdgpu/version", "/proc/sys/kernel/osrelease"})
    print += Cat(file, " ", host.Text(file).value_or("-"), "\n");
  for (const char* folder : {"/proc/driver/nvidia/gpus", "/sys/class/kfd/kfd/topology/nodes"})
    print += Cat(folder, " ", Join(host.Names(folder), ","), "\n");
  for (const std::string& gpu : host.Names("/proc/driver/nvidia/capabilities")) {
    std::string mig = Cat("/proc/driver/nvidia/capabilities/", gpu, "/mig");
    for (const std::string& instance : host.Names(mig))
      print += Cat(gpu, " ", instance, " ", Join(host.Names(Cat(mig, "/", instance)), ","), "\n");
  }
  return print;
}

std::string GpuFingerprint(const HostTree& host) {
  std::string print = HardwareFingerprint(host);
  for (const std::string& pci : host.Names("/proc/driver/nvidia/gpus"))
    print += Cat(pci, IsOffTheBus(host, pci) ? " off\n" : " on\n");
  for (const char* folder : {"/dev/dri", "/dev/nvidia-caps"})
    print += Cat(folder, " ", Join(host.Names(folder), ","), "\n");
  for (const std::string& name : host.Names("/dev")) {
    if (name.starts_with("nvidia") || name == "kfd") print += Cat(name, "\n");
  }
  print += Cat("ld.so.cache ", host.Identity("/etc/ld.so.cache"), "\n");
  return print;
}

}  // namespace slipway
