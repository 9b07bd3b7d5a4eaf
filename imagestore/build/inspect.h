// SPDX-License-Identifier: Apache-2.0
// What is in an image, without running it: for `slipway inspect`, the catalogue and the checks before a
// launch.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::build {

struct Inspection {
  std::string format;      // "sif" or "squashfs"
  std::string arch;        // Go's name: of the SIF header, else of the image's shell; "unknown"
  std::uint64_t size = 0;  // of the file
  std::string digest;      // of the file; empty unless asked for
  std::uint64_t partition_offset = 0, partition_size = 0;
  std::string partition_digest;  // of the squashfs: what the kernel would mount; empty unless asked for
  std::string compressor;        // "zstd"
  std::int64_t created = 0;      // seconds since 1970; 0 unknown
  std::map<std::string, std::string> labels;
  std::string deffile, environment, runscript, startscript, test, help;  // empty: none
  std::vector<std::string> apps;                                         // %app… sections: by name
  bool has_shell = false;                                                // /bin/sh is there
  std::string shell_arch;  // machine of its ELF header, Go's name; "unknown"
};

struct InspectOptions {
  bool digests = true;  // two passes of sha256 over the file
  std::string app;      // the labels and scripts of this app, instead of the image's; empty: the image's
};
// kNotFound where there is no such app.
Result<Inspection> Inspect(const std::string& path, const InspectOptions& options = {});
Result<Inspection> InspectFd(int fd, const InspectOptions& options = {});

// `inspection` as an object with the members' names; for --json.
std::string InspectionJson(const Inspection& inspection);

}  // namespace slipway::build
