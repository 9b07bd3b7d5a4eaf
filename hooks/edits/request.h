// SPDX-License-Identifier: Apache-2.0
// `slipway exec` starts within a millisecond and carries neither JSON nor YAML nor libseccomp. When a
// container needs a file of those kinds read, slipway-edits does it: one request on its standard input, one
// answer on its standard output, both in the project's wire form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hooks/edits/edits.h"

namespace slipway {

// What `slipway exec` was asked about GPUs.
struct GpuWish {
  bool nvidia = false, amd = false;  // --nv, --rocm
  std::uint32_t count = 0;           // --gpus; kAllGpus: all; 0: not given
  std::string host;                  // root of the host's tree; empty: this host
  std::string cache_file;            // where what was found is kept
  // The image, for what its C library is; empty: not to be had.
  std::string image_path;
  bool image_is_directory = false;
  std::uint64_t image_offset = 0, image_bytes = 0;  // of the squashfs within its file
};
void Fields(auto& archive, IsA<GpuWish> auto& v) {
  archive(v.nvidia, v.amd, v.count, v.host, v.cache_file, v.image_path, v.image_is_directory, v.image_offset,
          v.image_bytes);
}
inline constexpr std::uint32_t kAllGpus = 0xffffffff;

struct EditsRequest {
  std::uint32_t version = 1;
  std::string seccomp_file;        // empty: none
  CapabilitySet capabilities = 0;  // that the container keeps; a seccomp profile may depend on them
  std::vector<std::string> devices;
  bool hooks = false;   // look into the folders of OCI hooks
  std::string command;  // what hooks may be chosen by
  bool has_bind_mounts = false;
  GpuWish gpus;
};
void Fields(auto& archive, IsA<EditsRequest> auto& v) {
  archive(v.version, v.seccomp_file, v.capabilities, v.devices, v.hooks, v.command, v.has_bind_mounts,
          v.gpus);
}

struct EditsAnswer {
  std::int32_t code = 0;  // of the error; 0: none
  std::string message;
  std::vector<std::string> warnings;
  std::string seccomp;  // BPF of the file
  ContainerEdits edits;
};
void Fields(auto& archive, IsA<EditsAnswer> auto& v) {
  archive(v.code, v.message, v.warnings, v.seccomp, v.edits);
}

inline constexpr std::size_t kEditsBytesMax = 8 << 20;

}  // namespace slipway
