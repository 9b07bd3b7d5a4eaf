// SPDX-License-Identifier: Apache-2.0
// The functions and structures that are used are declared here as NVIDIA's NVML API Reference gives them;
// they are those that every driver since R470 has.
#include "hooks/gpu/nvml.h"

#include <array>
#include <cstdio>
#include <utility>

#include "base/text/text.h"
#include "hooks/gpu/nvml_library.h"
#include "hooks/host/loader_cache.h"

namespace slipway {
namespace {

using nvml::Device;
using nvml::kSuccess;
using nvml::Library;
using nvml::Memory;
using nvml::Return;
constexpr Return kGpuIsLost = 15;
constexpr unsigned kNameBytes = 96, kLinksMax = 64, kGpusMax = 1024;

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
class Question {
 public:
  explicit Question(const Library& library) : nvml_(library) {}

  Result<NvmlAnswer> Ask() {
    NvmlAnswer answer;
    answer.driver = Text("nvmlSystemGetDriverVersion");
    int cuda = 0;
    if (nvml_.Call("nvmlSystemGetCudaDriverVersion_v2", &cuda) == kSuccess)
      answer.cuda = Cat(cuda / 1000, ".", cuda % 1000 / 10);
    unsigned count = 0;
    Return got = nvml_.Call("nvmlDeviceGetCount_v2", &count);
    if (got != kSuccess) return Fail(Code::kUnavailable, "counting the GPUs: ", nvml_.ErrorText(got));
    for (unsigned i = 0; i < count && i < kGpusMax; ++i) {
      Device device = nullptr;
      // One that cannot even be named is known from the files.
      if (nvml_.Call("nvmlDeviceGetHandleByIndex_v2", i, &device) != kSuccess) continue;
      answer.gpus.push_back(Gpu(device));
    }
    return answer;
  }

 private:
  template <class... Args>
  std::string Text(const char* function, Args... args) {
    std::array<char, kNameBytes> text{};
    if (nvml_.Call(function, args..., text.data(), kNameBytes) != kSuccess) return {};
    text.back() = '\0';
    return Printable(text.data());
  }

  static std::string PciText(const PciInfo& pci) {
    char text[32];
    std::snprintf(text, sizeof text, "%04x:%02x:%02x.0", pci.domain & 0xffff, pci.bus & 0xff,
                  pci.device & 0x1f);
    return text;
  }

  NvmlGpu Gpu(Device device) {
    NvmlGpu gpu;
    PciInfo pci{};
    Return got = nvml_.Call("nvmlDeviceGetPciInfo_v3", device, &pci);
    gpu.pci = PciText(pci);
    Memory memory{};
    if (got == kSuccess) got = nvml_.Call("nvmlDeviceGetMemoryInfo", device, &memory);
    gpu.lost = got == kGpuIsLost;
    if (gpu.lost) return gpu;
    gpu.name = Text("nvmlDeviceGetName", device);
    gpu.uuid = Text("nvmlDeviceGetUUID", device);
    gpu.memory_bytes = memory.total;
    unsigned long long errors = 0;
    constexpr int kUncorrected = 1, kVolatile = 0;  // nvmlMemoryErrorType_t, nvmlEccCounterType_t
    if (nvml_.Call("nvmlDeviceGetTotalEccErrors", device, kUncorrected, kVolatile, &errors) == kSuccess)
      gpu.uncorrectable = errors;
    unsigned mode = 0, pending = 0;
    gpu.mig = nvml_.Call("nvmlDeviceGetMigMode", device, &mode, &pending) == kSuccess && mode == 1;
    if (gpu.mig) AddSlices(device, gpu);
    AddLinks(device, gpu);
    return gpu;
  }

  void AddSlices(Device device, NvmlGpu& gpu) {
    unsigned most = 0;
    if (nvml_.Call("nvmlDeviceGetMaxMigDeviceCount", device, &most) != kSuccess) return;
    for (unsigned i = 0; i < most && i < kGpusMax; ++i) {
      Device mig = nullptr;
      if (nvml_.Call("nvmlDeviceGetMigDeviceHandleByIndex", device, i, &mig) != kSuccess) continue;
      NvmlSlice slice{.name = Text("nvmlDeviceGetName", mig), .uuid = Text("nvmlDeviceGetUUID", mig)};
      Memory memory{};
      unsigned instance = 0, compute = 0;
      if (nvml_.Call("nvmlDeviceGetGpuInstanceId", mig, &instance) != kSuccess ||
          nvml_.Call("nvmlDeviceGetComputeInstanceId", mig, &compute) != kSuccess)
        continue;
      if (nvml_.Call("nvmlDeviceGetMemoryInfo", mig, &memory) == kSuccess) slice.memory_bytes = memory.total;
      slice.gpu_instance = instance;
      slice.compute_instance = compute;
      gpu.slices.push_back(std::move(slice));
    }
  }

  void AddLinks(Device device, NvmlGpu& gpu) {
    for (unsigned link = 0; link < kLinksMax; ++link) {
      unsigned active = 0;
      if (nvml_.Call("nvmlDeviceGetNvLinkState", device, link, &active) != kSuccess) return;
      PciInfo remote{};
      if (active == 1 && nvml_.Call("nvmlDeviceGetNvLinkRemotePciInfo_v2", device, link, &remote) == kSuccess)
        gpu.links.push_back(PciText(remote));
    }
  }

  const Library& nvml_;
};

class LoadedNvml : public NvmlSource {
 public:
  explicit LoadedNvml(std::string library) : name_(std::move(library)) {}
  Result<NvmlAnswer> Ask() override {
    Library library(name_);
    if (!library) return Fail(Code::kNotFound, library.why_not());
    Return started = library.Call("nvmlInit_v2");
    if (started != kSuccess) return Fail(Code::kUnavailable, library.ErrorText(started));
    auto answer = Question(library).Ask();
    library.Call("nvmlShutdown");
    return answer;
  }

 private:
  std::string name_;
};

}  // namespace

std::string NvmlLibraryOf(const HostTree& host) {
  for (const std::string& folder : LibraryFolders(host)) {
    std::string path = Cat(folder, "/", kNvmlLibrary);
    if (host.Resolve(path)) return host.FromHere(path);
  }
  return kNvmlLibrary;
}

std::unique_ptr<NvmlSource> MakeNvml(std::string library) {
  return std::make_unique<LoadedNvml>(std::move(library));
}

}  // namespace slipway
