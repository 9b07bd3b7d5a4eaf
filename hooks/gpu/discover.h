// SPDX-License-Identifier: Apache-2.0
// Finds the GPUs of a host. For NVIDIA's the driver's own library (NVML) knows most; where it is not there,
// or does not answer, /proc, /sys and /dev know enough to give a GPU to a container. AMD's and Intel's are
// wholly described by /sys.
//
// A GPU that is there and cannot be used is reported with the reason, never left out: a node that lost one
// must be seen to have lost it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hooks/gpu/gpu.h"
#include "hooks/host/host_tree.h"

namespace slipway {

// What NVML says, whoever asked it.
struct NvmlSlice {
  std::string name, uuid;  // "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "MIG-…"
  std::uint32_t gpu_instance = 0, compute_instance = 0;
  std::uint64_t memory_bytes = 0;
};
void Fields(auto& archive, IsA<NvmlSlice> auto& v) {
  archive(v.name, v.uuid, v.gpu_instance, v.compute_instance, v.memory_bytes);
}
struct NvmlGpu {
  std::string pci;    // "0000:07:00.0"
  bool lost = false;  // it does not answer any more; the rest is empty
  std::string name, uuid;
  std::uint64_t memory_bytes = 0;
  std::uint64_t uncorrectable = 0;  // memory errors since the driver was loaded; 0 where it has no ECC
  bool mig = false;
  std::vector<NvmlSlice> slices;
  std::vector<std::string> links;  // PCI address of the other end of each: a GPU or a switch
};
void Fields(auto& archive, IsA<NvmlGpu> auto& v) {
  archive(v.pci, v.lost, v.name, v.uuid, v.memory_bytes, v.uncorrectable, v.mig, v.slices, v.links);
}
struct NvmlAnswer {
  std::string driver;  // version of the kernel module
  std::string cuda;    // "12.4"
  std::vector<NvmlGpu> gpus;
};
void Fields(auto& archive, IsA<NvmlAnswer> auto& v) { archive(v.driver, v.cuda, v.gpus); }
class NvmlSource {
 public:
  virtual ~NvmlSource() = default;
  // kNotFound when there is no such library.
  virtual Result<NvmlAnswer> Ask() = 0;
};

// `nvml` null: files only. Never fails: what is not there is not in it, what is broken says so.
GpuInventory DiscoverGpus(const HostTree& host, NvmlSource* nvml);

// Changes when units are others than they were, or belong to another driver: boot, driver versions, the GPUs'
// addresses, MIG instances.
std::string HardwareFingerprint(const HostTree& host);
// Changes whenever DiscoverGpus or the drivers' files would say something else: beside the above, which of
// them answer, device nodes and the loader's cache. Cheap: a dozen small files.
std::string GpuFingerprint(const HostTree& host);

// Each vendor's part; appended to `inventory`.
void DiscoverNvidia(const HostTree& host, NvmlSource* nvml, GpuInventory& inventory);
void DiscoverAmd(const HostTree& host, GpuInventory& inventory);
void DiscoverIntel(const HostTree& host, GpuInventory& inventory);

// The render and card nodes of a PCI device that are in /dev/dri, as paths.
std::vector<std::string> DrmNodesOf(const HostTree& host, const std::string& pci);
std::int32_t NumaNodeOf(const HostTree& host, const std::string& pci);
// Nobody answers at that address any more.
bool IsOffTheBus(const HostTree& host, const std::string& pci);

}  // namespace slipway
