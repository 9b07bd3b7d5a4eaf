// SPDX-License-Identifier: Apache-2.0
// A library with NVML's face: two GPUs joined by four links, the second in MIG mode with one device, and a
// third that is lost; a fourth has uncorrectable memory errors. The first works half of the time, the second
// all of it, and each look at their energy finds 300 mJ more.
#include <cstdint>
#include <cstring>

namespace {

constexpr int kSuccess = 0, kNotFound = 6, kNotSupported = 3, kLost = 15;

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct Memory {
  unsigned long long total, free, used;
};

struct MemoryV2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
struct Utilization {
  unsigned gpu, memory;
};

std::uintptr_t Id(void* device) { return reinterpret_cast<std::uintptr_t>(device); }
void* Handle(std::uintptr_t id) { return reinterpret_cast<void*>(id); }
int Say(const char* text, char* to, unsigned size) {
  std::strncpy(to, text, size);
  return kSuccess;
}

}  // namespace

extern "C" {

int nvmlInit_v2() { return kSuccess; }
int nvmlShutdown() { return kSuccess; }
const char* nvmlErrorString(int) { return "of the fake"; }
int nvmlSystemGetDriverVersion(char* to, unsigned size) { return Say("550.54.14", to, size); }
int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = 12040;
  return kSuccess;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 4;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = Handle(index + 1);
  return kSuccess;
}
int nvmlDeviceGetPciInfo_v3(void* device, PciInfo* pci) {
  pci->bus = static_cast<unsigned>(Id(device));
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  memory->total = Id(device) == 100 ? 5ULL << 30 : 40ULL << 30;
  return Id(device) == 3 ? kLost : kSuccess;
}
int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* errors) {
  if (Id(device) == 1) return kNotSupported;
  *errors = Id(device) == 4 && type == 1 && counter == 0 ? 3 : 0;
  return kSuccess;
}
int nvmlDeviceGetName(void* device, char* to, unsigned size) {
  return Say(Id(device) == 100 ? "NVIDIA A100-SXM4-40GB MIG 1g.5gb" : "NVIDIA A100-SXM4-40GB", to, size);
}
int nvmlDeviceGetUUID(void* device, char* to, unsigned size) {
  return Say(Id(device) == 100 ? "MIG-5" : Id(device) == 1 ? "GPU-1" : "GPU-2", to, size);
}
int nvmlDeviceGetMigMode(void* device, unsigned* mode, unsigned* pending) {
  *mode = *pending = Id(device) == 2 ? 1 : 0;
  return kSuccess;
}
int nvmlDeviceGetMaxMigDeviceCount(void*, unsigned* count) {
  *count = 7;
  return kSuccess;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void*, unsigned index, void** device) {
  if (index != 2) return kNotFound;
  *device = Handle(100);
  return kSuccess;
}
int nvmlDeviceGetGpuInstanceId(void*, unsigned* id) {
  *id = 9;
  return kSuccess;
}
int nvmlDeviceGetComputeInstanceId(void*, unsigned* id) {
  *id = 0;
  return kSuccess;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  constexpr struct {
    const char* uuid;
    std::uintptr_t id;
  } kKnown[] = {{"GPU-0", 1}, {"GPU-1", 1}, {"GPU-2", 2}, {"MIG-5", 100}};
  for (const auto& known : kKnown) {
    if (std::strcmp(known.uuid, uuid) != 0) continue;
    *device = Handle(known.id);
    return kSuccess;
  }
  return kNotFound;
}
int nvmlDeviceGetUtilizationRates(void* device, Utilization* utilization) {
  if (Id(device) == 100) return kNotSupported;
  utilization->gpu = Id(device) == 1 ? 50 : 100;
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo_v2(void* device, MemoryV2* memory) {
  if (memory->version != (sizeof(MemoryV2) | 2U << 24)) return kNotSupported;
  memory->used = Id(device) == 100 ? 1ULL << 30 : 2ULL << 30;
  return kSuccess;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* energy) {
  static unsigned long long looks = 0;
  if (Id(device) == 100) return kNotSupported;
  *energy = 1000 + 300 * looks++;
  return kSuccess;
}
int nvmlDeviceGetNvLinkState(void*, unsigned link, unsigned* active) {
  *active = link < 4 ? 1 : 0;
  return link < 12 ? kSuccess : kNotSupported;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void* device, unsigned, PciInfo* pci) {
  pci->bus = Id(device) == 1 ? 2 : 1;
  return kSuccess;
}
}
