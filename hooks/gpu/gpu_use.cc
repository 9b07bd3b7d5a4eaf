// SPDX-License-Identifier: Apache-2.0
// The functions and structures that are used are declared here as NVIDIA's NVML API Reference gives them.
#include "hooks/gpu/gpu_use.h"

#include <map>

#include "base/text/text.h"
#include "base/text/units.h"
#include "hooks/gpu/nvml_library.h"

namespace slipway {
namespace {

struct Utilization {
  unsigned gpu, memory;  // percent
};
struct MemoryV2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
constexpr unsigned kMemoryV2 = sizeof(MemoryV2) | 2U << 24;

class Nvml : public GpuUseSource {
 public:
  explicit Nvml(const std::string& library) : nvml_(library) {}
  ~Nvml() override {
    if (started_) nvml_.Call("nvmlShutdown");
  }

  Result<> Start() {
    if (!nvml_) return Fail(Code::kNotFound, nvml_.why_not());
    nvml::Return got = nvml_.Call("nvmlInit_v2");
    if (got != nvml::kSuccess) return Fail(Code::kUnavailable, nvml_.ErrorText(got));
    started_ = true;
    return {};
  }

  std::vector<GpuUse> Look(const std::vector<std::string>& ids) override {
    std::vector<GpuUse> uses;
    for (const std::string& id : ids) uses.push_back(UseOf(id));
    return uses;
  }

 private:
  GpuUse UseOf(const std::string& id) {
    GpuUse use{.id = id};
    nvml::Device& device = devices_[id];
    if (device == nullptr && nvml_.Call("nvmlDeviceGetHandleByUUID", id.c_str(), &device) != nvml::kSuccess) {
      device = nullptr;
      return use;
    }
    Utilization utilization{};
    if (nvml_.Call("nvmlDeviceGetUtilizationRates", device, &utilization) == nvml::kSuccess)
      use.busy_percent = utilization.gpu;
    MemoryV2 memory{.version = kMemoryV2};
    nvml::Memory older{};
    if (nvml_.Call("nvmlDeviceGetMemoryInfo_v2", device, &memory) == nvml::kSuccess)
      use.memory_bytes = memory.used;
    else if (nvml_.Call("nvmlDeviceGetMemoryInfo", device, &older) == nvml::kSuccess)
      use.memory_bytes = older.used;
    unsigned long long energy = 0;
    if (nvml_.Call("nvmlDeviceGetTotalEnergyConsumption", device, &energy) == nvml::kSuccess)
      use.energy_mj = energy;
    return use;
  }

  nvml::Library nvml_;
  bool started_ = false;
  std::map<std::string, nvml::Device> devices_;
};

std::string Word(const std::optional<std::uint64_t>& value) { return value ? Cat(*value) : "-"; }

}  // namespace

std::string LineOf(const GpuUse& use) {
  return Cat(use.id, " ", Word(use.busy_percent), " ", Word(use.memory_bytes), " ", Word(use.energy_mj));
}

Result<GpuUse> GpuUseIn(std::string_view line) {
  constexpr std::size_t kIdBytesMax = 128;
  auto words = Split(line, ' ');
  if (words.size() != 4 || words[0].empty() || words[0].size() > kIdBytesMax)
    return Fail(Code::kInvalidArgument, "no line of a GPU's use");
  GpuUse use{.id = words[0]};
  auto take = [](const std::string& word, std::uint64_t most, std::optional<std::uint64_t>& to) -> Result<> {
    if (word != "-") to = TRY(ParseNumber(word, 0, most));
    return {};
  };
  TRY(take(words[1], 100, use.busy_percent));
  TRY(take(words[2], std::uint64_t{1} << 50, use.memory_bytes));
  TRY(take(words[3], UINT64_MAX, use.energy_mj));
  return use;
}

Result<std::unique_ptr<GpuUseSource>> GpuUseSource::Open(const std::string& library) {
  auto nvml = std::make_unique<Nvml>(library);
  TRY(nvml->Start());
  return std::unique_ptr<GpuUseSource>(std::move(nvml));
}

}  // namespace slipway
