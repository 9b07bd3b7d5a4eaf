// SPDX-License-Identifier: Apache-2.0
// What every node can look at by itself, without a program of the site: room, memory, file systems that have
// turned read-only, the clock. Looking and judging are apart, so that the judgement needs no sick host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/os/mountinfo.h"

namespace slipway {

struct FileSystemFacts {
  std::string path;
  std::uint64_t bytes = 0, bytes_free = 0;  // free: for others than root; 0 of 0: not counted
  std::uint64_t files = 0, files_free = 0;  // the same
  bool read_only = false;
  std::string error;  // it could not be looked at
};
struct HostFacts {
  std::vector<FileSystemFacts> file_systems;
  std::uint64_t memory_available_bytes = 0;
  bool idle = false;                           // no step runs: memory is not theirs
  std::optional<std::int64_t> clock_ahead_ms;  // of the controller's; none: not heard yet
};
struct HealthLimits {
  std::uint64_t disk_free_bytes = 0;     // of each file system; 0: not looked at
  std::uint64_t memory_free_bytes = 0;   // of a node on which nothing runs; 0: not looked at
  std::int64_t clock_offset_ms_max = 0;  // 0: not looked at
};

// One line for each thing that is wrong, which names it and what is wanted; the same line as long as it is
// so. Empty: all is well.
std::vector<std::string> JudgeHost(const HostFacts& facts, const HealthLimits& limits);

// Pure: whether the file system of that device ("8:1") is, of these mounts. Not one mount of it: a daemon
// in a sandbox sees most of the host's read-only.
bool IsReadOnly(const std::vector<MountLine>& mounts, std::string_view device);

// Pure: whether the file system is that has this folder by its name (symbolic links are not followed): what
// can be known of a folder that we may not look at.
bool LiesOnReadOnly(const std::vector<MountLine>& mounts, std::string_view folder);

// Pure: whether the folder lies in a file system of the network's, or in one that a process serves, of
// these mounts.
bool WaitsForOthers(const std::vector<MountLine>& mounts, std::string_view folder);

// Folders of local file systems only, the others are left out: one that does not answer would hold the
// daemon. Of what we may not look at (the broker's image store) only what the mounts say is known.
HostFacts LookAtHost(const std::vector<std::string>& folders);

}  // namespace slipway
