// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/support.h"

#include <unistd.h>

#include <algorithm>

#include "base/os/fd.h"
#include "base/os/trusted.h"
#include "base/text/text.h"

namespace slipway {
namespace {

const VendorFiles* FilesOf(const GpuSupport& support, GpuVendor vendor) {
  for (const VendorFiles& files : support.files) {
    if (files.vendor == vendor) return &files;
  }
  return nullptr;
}

// `root` ends with a slash.
ContainerEdits DevicesOf(const GpuUnit& unit, const std::string& root) {
  ContainerEdits edits;
  for (const std::string& node : unit.device_nodes) edits.devices.push_back({node, root + node.substr(1)});
  return edits;
}

Result<> AddVendor(const GpuSupport& support, GpuVendor vendor, const ImageLibraries& image,
                   ContainerEdits& edits, std::vector<std::string>& notes) {
  const GpuDriver* driver = support.inventory.DriverOf(vendor);
  const VendorFiles* files = FilesOf(support, vendor);
  if (driver == nullptr || files == nullptr)
    return Fail(Code::kInternal, "no driver for ", VendorName(vendor), "'s GPUs");
  if (!files->fault.empty()) return Fail(Code::kFailedPrecondition, files->fault);
  notes.insert(notes.end(), files->files.notes.begin(), files->files.notes.end());
  return MergeEdits(edits, TRY(EditsOfFiles(files->files, *driver, image, notes)));
}

}  // namespace

void RefreshDriverFiles(const HostTree& host, GpuSupport& support) {
  support.fingerprint = GpuFingerprint(host);
  support.files.clear();
  for (const GpuDriver& driver : support.inventory.drivers) {
    VendorFiles files{.vendor = driver.vendor};
    if (auto found = FindDriverFiles(host, driver))
      files.files = std::move(*found);
    else
      files.fault = found.error().message;
    support.files.push_back(std::move(files));
  }
}

GpuSupport FindGpuSupport(const HostTree& host, NvmlSource* nvml) {
  GpuSupport support{.root = host.FromHere("/"), .hardware = HardwareFingerprint(host)};
  support.inventory = DiscoverGpus(host, nvml);
  RefreshDriverFiles(host, support);
  return support;
}

GpuSupport CachedGpuSupport(const HostTree& host, NvmlSource* nvml, const std::string& cache_file) {
  if (auto bytes = ReadTrustedFile(cache_file, ::geteuid())) {
    auto cached = Decode<GpuSupport>(*bytes, cache_file);
    if (cached && cached->format == 1 && cached->root == host.FromHere("/") &&
        cached->fingerprint == GpuFingerprint(host))
      return std::move(*cached);
  }
  GpuSupport support = FindGpuSupport(host, nvml);
  if (support.inventory.incomplete) return support;
  if (MakeDirectories(cache_file.substr(0, cache_file.rfind('/')), 0700)) [[maybe_unused]]
    auto kept = WriteFileAtomically(cache_file, Encode(support), 0600);
  return support;
}

Result<ContainerEdits> EditsOfUnits(const GpuSupport& support, const std::vector<const GpuUnit*>& units,
                                    const ImageLibraries& image, bool name_them,
                                    std::vector<std::string>& notes) {
  ContainerEdits edits;
  for (GpuVendor vendor : kGpuVendors) {
    bool used =
        std::any_of(units.begin(), units.end(), [&](const GpuUnit* u) { return u->vendor == vendor; });
    if (used) TRY(AddVendor(support, vendor, image, edits, notes));
  }
  for (const GpuUnit* unit : units) TRY(MergeEdits(edits, DevicesOf(*unit, support.root)));
  if (name_them) edits.env = VisibleOf(units);
  return edits;
}

Result<std::vector<const GpuUnit*>> UnitsNamed(const std::vector<GpuUnit>& units, GpuVendor vendor,
                                               const std::string& name) {
  std::vector<const GpuUnit*> named;
  std::string known;
  for (const GpuUnit& unit : units) {
    if (unit.vendor != vendor) continue;
    known += Cat(known.empty() ? "" : ", ", unit.name);
    if (name == "all" || name == unit.name || (!unit.uuid.empty() && name == unit.uuid))
      named.push_back(&unit);
  }
  if (named.empty())
    return Fail(Code::kNotFound, CdiKindOf(vendor), "=", name, ": this node has no such device",
                known.empty() ? "" : Cat("; it has ", known));
  return named;
}

std::string WhyNone(const GpuSupport& support, GpuVendor vendor) {
  std::string why;
  if (const GpuDriver* driver = support.inventory.DriverOf(vendor); driver != nullptr) why = driver->fault;
  if (const VendorFiles* files = FilesOf(support, vendor); files != nullptr && why.empty())
    why = files->fault;
  for (const Gpu& gpu : support.inventory.gpus) {
    if (gpu.vendor == vendor && !gpu.fault.empty() && why.empty()) why = Cat(gpu.pci, ": ", gpu.fault);
    if (gpu.vendor == vendor && gpu.sliced && gpu.slices.empty() && why.empty())
      why = Cat(gpu.pci, " is in MIG mode and has no instance: nvidia-smi mig -cgi … -C makes some");
  }
  for (const std::string& note : support.inventory.notes) {
    if (why.empty() && note.find(VendorName(vendor)) != std::string::npos) why = note;
  }
  return Cat("this host has no ", VendorName(vendor), " GPU that can be used",
             why.empty() ? Cat(" (no driver of ", VendorName(vendor), "'s is loaded)") : Cat(": ", why));
}

Result<CdiSpec> CdiOf(const GpuSupport& support, GpuVendor vendor) {
  std::vector<GpuUnit> units = UnitsOf(support.inventory);
  auto all = UnitsNamed(units, vendor, "all");
  if (!all) return Fail(Code::kNotFound, WhyNone(support, vendor));
  CdiSpec spec{.version = "0.6.0", .kind = CdiKindOf(vendor)};
  std::vector<std::string> notes;
  TRY(AddVendor(support, vendor, {}, spec.edits, notes));
  CdiDevice everything{.name = "all"};
  for (const GpuUnit* unit : *all) {
    ContainerEdits edits = DevicesOf(*unit, support.root);
    TRY(MergeEdits(everything.edits, edits));
    spec.devices.push_back({unit->name, edits});
    if (!unit->uuid.empty()) spec.devices.push_back({unit->uuid, edits});
  }
  spec.devices.push_back(std::move(everything));
  return spec;
}

}  // namespace slipway
