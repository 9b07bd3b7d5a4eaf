// SPDX-License-Identifier: Apache-2.0
// The GPUs of a host as this project speaks of them, whoever made them: what the scheduler counts, what a
// task gets, what people read.
//
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/wire/wire.h"

namespace slipway {

enum class GpuVendor : std::uint8_t { kNvidia = 1, kAmd = 2, kIntel = 3 };
inline constexpr GpuVendor kGpuVendors[] = {GpuVendor::kNvidia, GpuVendor::kAmd, GpuVendor::kIntel};
const char* VendorName(GpuVendor vendor);  // "NVIDIA"
const char* CdiKindOf(GpuVendor vendor);   // "nvidia.com/gpu"
// The variable that a vendor's libraries choose GPUs by. It is a courtesy to programs: what keeps a GPU from
// a task is its device node.
const char* VisibleVariable(GpuVendor vendor);  // "CUDA_VISIBLE_DEVICES"

struct GpuLink {
  std::uint32_t peer = 0;  // index of the other GPU, of the same vendor
  std::string kind;        // "NVLink", "XGMI"
  std::uint32_t count = 0;
};
void Fields(auto& archive, IsA<GpuLink> auto& v) { archive(v.peer, v.kind, v.count); }

// A part of a GPU that is used like one: a MIG device (a compute instance of a GPU instance).
struct GpuSlice {
  std::string profile;  // "1g.5gb"; empty: not known without NVML
  std::string uuid;     // the same
  std::uint32_t gpu_instance = 0, compute_instance = 0;
  std::uint64_t memory_bytes = 0;         // 0: not known
  std::vector<std::string> device_nodes;  // beside its GPU's
};
void Fields(auto& archive, IsA<GpuSlice> auto& v) {
  archive(v.profile, v.uuid, v.gpu_instance, v.compute_instance, v.memory_bytes, v.device_nodes);
}

struct Gpu {
  GpuVendor vendor = GpuVendor::kNvidia;
  std::uint32_t index = 0;         // among those of its vendor, in the order of PCI addresses
  std::string model;               // "NVIDIA A100-SXM4-40GB"
  std::string uuid;                // as its libraries write it ("GPU-…"); empty: not known, or it has none
  std::string pci;                 // "0000:07:00.0"
  std::uint64_t memory_bytes = 0;  // 0: not known
  std::int32_t numa_node = -1;     // -1: the kernel does not say
  std::vector<std::string> device_nodes;  // its own, not those that all of its vendor share
  std::vector<GpuLink> links;
  bool sliced = false;  // in MIG mode: only slices can be used, and there may be none
  std::vector<GpuSlice> slices;
  bool integrated = false;  // a display adapter of the processor: never the scheduler's
  std::string fault;        // why it cannot be used, one sentence; empty: it can
};
void Fields(auto& archive, IsA<Gpu> auto& v) {
  archive(v.vendor, v.index, v.model, v.uuid, v.pci, v.memory_bytes, v.numa_node, v.device_nodes, v.links,
          v.sliced, v.slices, v.integrated, v.fault);
}

// A driver that serves all GPUs of one vendor.
struct GpuDriver {
  GpuVendor vendor = GpuVendor::kNvidia;
  std::string version;                    // of the kernel module; empty: it says none
  std::string cuda;                       // "12.4": newest CUDA that it runs; empty: not known
  std::vector<std::string> device_nodes;  // that every container with one of its GPUs needs
  std::string fault;                      // why none of them can be used; empty: they can
};
void Fields(auto& archive, IsA<GpuDriver> auto& v) {
  archive(v.vendor, v.version, v.cuda, v.device_nodes, v.fault);
}

struct GpuInventory {
  std::vector<Gpu> gpus;  // by vendor, then index
  std::vector<GpuDriver> drivers;
  std::vector<std::string> notes;  // what could not be found out, one sentence each
  bool incomplete = false;         // a driver did not answer: asked again it may

  const GpuDriver* DriverOf(GpuVendor vendor) const;
};
void Fields(auto& archive, IsA<GpuInventory> auto& v) { archive(v.gpus, v.drivers, v.notes, v.incomplete); }

// What can be given to a task: a usable GPU, or a slice of one. Its number is its place in UnitsOf().
struct GpuUnit {
  GpuVendor vendor = GpuVendor::kNvidia;
  std::string name;  // of the CDI device: "0", of a slice "0:1"
  std::string type;  // for the scheduler: "a100", "a100_1g.5gb"
  std::string model, uuid, pci;
  std::uint64_t memory_bytes = 0;
  std::int32_t numa_node = -1;
  std::vector<std::string> device_nodes;  // its own and its driver's
  std::string visible;         // value for VisibleVariable(); empty: its place among those of the task
  std::vector<GpuLink> links;  // of the whole GPU
};
std::vector<GpuUnit> UnitsOf(const GpuInventory& inventory);

// "NVIDIA A100-SXM4-40GB" → "a100": lower case, without maker, form factor and memory; "gpu" when nothing is
// left.
std::string TypeOfModel(std::string_view model);

// NAME=value for a task that has these units: one variable per vendor that occurs.
std::vector<std::string> VisibleOf(const std::vector<const GpuUnit*>& units);

}  // namespace slipway
