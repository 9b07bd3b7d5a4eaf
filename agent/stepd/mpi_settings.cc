// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/mpi_settings.h"

#include <dirent.h>

#include <memory>
#include <optional>
#include <string_view>

#include "agent/stepd/rank_environment.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::uint32_t kAnyFabric = kTrueScale | kOmniPath | kInfiniBand | kSlingshot | kOtherFabric;

struct Device {
  std::string_view prefix;
  std::uint32_t kind;
};
constexpr Device kDevices[] = {
    {"ipath", kTrueScale},   {"hfi1", kOmniPath},    {"infiniband", kInfiniBand},
    {"efa", kInfiniBand},    {"cxi", kSlingshot},    {"opx", kOtherFabric},
    {"usnic", kOtherFabric}, {"kgni", kOtherFabric}, {"portals", kOtherFabric},
    {"nvidia", kGpu},        {"kfd", kGpu},          {"dri", kGpu},
};

class Settings {
 public:
  explicit Settings(const StepSpec& spec) : spec_(spec) {}
  void Set(std::string_view name, std::string_view value, std::string_view why) {
    if (HasVariable(spec_.env, name)) {
      made_.reasons.push_back(Cat(name, ": left as you set it (it would be ", value, ": ", why, ")"));
      return;
    }
    made_.env.push_back(Cat(name, "=", value));
    made_.reasons.push_back(Cat(name, "=", value, ": ", why));
  }
  // By exclusion: what is not named here keeps its chance.
  void Exclude(std::string_view name, const std::vector<std::string>& parts, std::string_view why) {
    if (!parts.empty()) Set(name, "^" + Join(parts, ","), why);
  }
  MpiSettings Take() { return std::move(made_); }

 private:
  const StepSpec& spec_;
  MpiSettings made_;
};

void ExcludeTransports(Settings& settings, std::uint32_t devices) {
  constexpr char kWhy[] =
      "no node of the job has a device for these transports, and looking for one takes up to 0.2 s";
  std::vector<std::string> mtl;
  if ((devices & kTrueScale) == 0) mtl.push_back("psm");
  if ((devices & kOmniPath) == 0) mtl.push_back("psm2");
  if ((devices & kAnyFabric) == 0) mtl.push_back("ofi");
  settings.Exclude("OMPI_MCA_mtl", mtl, kWhy);
  if ((devices & kAnyFabric) == 0) settings.Exclude("OMPI_MCA_btl", {"openib", "uct", "ofi", "usnic"}, kWhy);
}

// Every rank loads these and what they need (X11, ICU, OpenCL): a sixth of what MPI_Init costs.
void ExcludeTopologyPlugins(Settings& settings, const StepSpec& spec, std::uint32_t devices) {
  if (HasVariable(spec.env, "HWLOC_PLUGINS_PATH")) return;
  std::vector<std::string> plugins{"hwloc_xml_libxml.so"};
  if (!HasVariable(spec.env, "DISPLAY")) plugins.push_back("hwloc_gl.so");
  if ((devices & kGpu) == 0) plugins.push_back("hwloc_opencl.so");
  settings.Set("HWLOC_PLUGINS_BLACKLIST", Join(plugins, ","),
               "the topology is given; these plugins look for displays and GPUs that are not there");
}

std::optional<std::string> ValueOf(const StepSpec& spec, std::string_view name) {
  for (const std::string& entry : spec.env) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      return entry.substr(name.size() + 1);
  }
  return std::nullopt;
}

// What `mpirun --with-ft ulfm` sets, and without `han`: its barriers do not return when a rank has died.
void TolerateFaults(Settings& settings, const StepSpec& spec) {
  if (ValueOf(spec, "SLIPWAY_MPI_FAULT_TOLERANT").value_or("0") == "0") return;
  constexpr char kWhy[] = "--mpi-fault-tolerant";
  settings.Set("OMPI_MCA_mpi_ft_enable", "1", kWhy);
  settings.Set("OMPI_MCA_pml", "ob1", "--mpi-fault-tolerant: no other tells of dead ranks");
  settings.Exclude("OMPI_MCA_coll", {"han", "hcoll", "portals4"},
                   "--mpi-fault-tolerant: these do not return when a rank has died");
  settings.Set("OMPI_MCA_btl_base_warn_peer_error", "0", kWhy);
}

}  // namespace

std::uint32_t DevicesIn(const std::string& device_dir) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(device_dir.c_str()), ::closedir);
  std::uint32_t found = 0;
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    for (const Device& device : kDevices) {
      if (std::string_view(entry->d_name).starts_with(device.prefix)) found |= device.kind;
    }
  }
  return found;
}

MpiSettings MpiSettingsOf(const StepSpec& spec, std::uint32_t devices, std::size_t cores_here) {
  Settings settings(spec);
  settings.Set("OMPI_MCA_schizo", "^orte", "without it each rank of Open MPI 4 would be a job of its own");
  settings.Set("OMPI_MCA_hwloc_base_binding_policy", "none", "processors are bound by the launcher");
  settings.Set("OMPI_MCA_orte_externally_bound", "1", "processors are bound by the launcher");
  ExcludeTransports(settings, devices);
  ExcludeTopologyPlugins(settings, spec, devices);
  TolerateFaults(settings, spec);
  if (spec.ranks[spec.node_index].size() > cores_here)
    settings.Set("OMPI_MCA_mpi_yield_when_idle", "1", "there are more ranks than processors here");
  return settings.Take();
}

bool WantsMpiReport(const StepSpec& spec) { return ValueOf(spec, "SLIPWAY_MPI_REPORT").value_or("0") != "0"; }
bool WantsPmiPort(const StepSpec& spec) { return ValueOf(spec, "SLIPWAY_MPI_PMI_PORT").value_or("0") != "0"; }

std::uint32_t MpiFenceLimit_s(const StepSpec& spec) {
  return ValueOf(spec, "SLIPWAY_MPI_TIMEOUT") ? MpiTimeout_s(spec) : 0;
}

std::uint32_t MpiTimeout_s(const StepSpec& spec) {
  auto limit = ParseNumber(ValueOf(spec, "SLIPWAY_MPI_TIMEOUT").value_or(""), 0, 86400);
  return limit ? static_cast<std::uint32_t>(*limit) : spec.wireup_timeout_s;
}

}  // namespace slipway
