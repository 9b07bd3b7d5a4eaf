// SPDX-License-Identifier: Apache-2.0
// All that this node can say of GPUs, found once for a driver and kept: which there are, and what a container
// needs to use them. Asking the driver takes from milliseconds to seconds; a start takes neither.
#pragma once

#include <string>
#include <vector>

#include "hooks/cdi/cdi_spec.h"
#include "hooks/gpu/discover.h"
#include "hooks/gpu/driver_files.h"

namespace slipway {

struct VendorFiles {
  GpuVendor vendor = GpuVendor::kNvidia;
  DriverFiles files;
  std::string fault;  // why they cannot be had; empty: they can
};
void Fields(auto& archive, IsA<VendorFiles> auto& v) { archive(v.vendor, v.files, v.fault); }

struct GpuSupport {
  std::uint32_t format = 1;
  std::string root, fingerprint, hardware;  // of the host that it was found on
  GpuInventory inventory;
  std::vector<VendorFiles> files;
};
void Fields(auto& archive, IsA<GpuSupport> auto& v) {
  archive(v.format, v.root, v.fingerprint, v.hardware, v.inventory, v.files);
}

GpuSupport FindGpuSupport(const HostTree& host, NvmlSource* nvml);
// The same from `cache_file` while the fingerprint holds; written anew when it does not. A file that cannot
// be read or written, or is another user's, only costs time.
GpuSupport CachedGpuSupport(const HostTree& host, NvmlSource* nvml, const std::string& cache_file);

// Looks for the drivers' files anew, where these may have moved and the GPUs are the same. Asks no driver.
void RefreshDriverFiles(const HostTree& host, GpuSupport& support);

// Devices, files and, where `name_them`, the variables of these units. kFailedPrecondition says why a
// vendor's cannot be used here or in that image. `notes` gets lines for people.
Result<ContainerEdits> EditsOfUnits(const GpuSupport& support, const std::vector<const GpuUnit*>& units,
                                    const ImageLibraries& image, bool name_them,
                                    std::vector<std::string>& notes);

// The units of one vendor that a CDI device name means: "0", "0:1", a UUID, "all". kNotFound says which there
// are.
Result<std::vector<const GpuUnit*>> UnitsNamed(const std::vector<GpuUnit>& units, GpuVendor vendor,
                                               const std::string& name);

// Why there is nothing to use of that vendor on this host, with the cure.
std::string WhyNone(const GpuSupport& support, GpuVendor vendor);

// A CDI file of one vendor's units: a device by index, one by UUID where it has one, and "all".
Result<CdiSpec> CdiOf(const GpuSupport& support, GpuVendor vendor);

}  // namespace slipway
