// SPDX-License-Identifier: Apache-2.0
// A driver is half in the kernel and half in libraries that must be of the same version; so an image cannot
// bring those, and they come from the host. This finds them: libraries by the version in their names, read
// for their sonames and for the C library that they need, and programs, sockets, firmware and configuration.
//
// Each library is bound at kDriverLibraries/SONAME: a bind under the soname is the link that ldconfig would
// have made, and works in an image that nobody can write to (docs/decisions/0041).
#pragma once

#include <string>
#include <vector>

#include "hooks/edits/edits.h"
#include "hooks/gpu/gpu.h"
#include "hooks/host/host_tree.h"

namespace slipway {

// Apptainer's place for them; its images have the folder.
inline constexpr const char* kDriverLibraries = "/.singularity.d/libs";
// Where NVIDIA's images keep a libcuda of their own that newer CUDA needs on an older driver.
inline constexpr const char* kCudaCompat = "/usr/local/cuda/compat";

struct DriverLibrary {
  std::string source, name;  // on the host; as it is called inside
  std::string glibc;         // "2.27": the newest that it needs; empty: none
  bool essential = false;    // nothing works without it
};
void Fields(auto& archive, IsA<DriverLibrary> auto& v) { archive(v.source, v.name, v.glibc, v.essential); }

struct DriverFiles {
  std::vector<DriverLibrary> libraries;
  std::vector<Mount> others;       // programs, sockets, firmware, configuration
  std::vector<std::string> notes;  // what was left out, and why
};
void Fields(auto& archive, IsA<DriverFiles> auto& v) { archive(v.libraries, v.others, v.notes); }

// kFailedPrecondition: libraries that must be there are not, or are of another version than the kernel's
// module; the message says which and the cure. AMD's and Intel's may be none: images bring their own.
Result<DriverFiles> FindDriverFiles(const HostTree& host, const GpuDriver& driver);

// What is known of an image before it starts. Empty fields: not known.
struct ImageLibraries {
  std::string libc;         // "glibc 2.36", "musl"
  std::string cuda_compat;  // version of the libcuda in kCudaCompat
};
void Fields(auto& archive, IsA<ImageLibraries> auto& v) { archive(v.libc, v.cuda_compat); }

// What fits of `files` into such an image. kFailedPrecondition when an essential library needs a newer C
// library than the image has, with both versions; others are left out with a line in `notes`.
Result<ContainerEdits> EditsOfFiles(const DriverFiles& files, const GpuDriver& driver,
                                    const ImageLibraries& image, std::vector<std::string>& notes);

}  // namespace slipway
