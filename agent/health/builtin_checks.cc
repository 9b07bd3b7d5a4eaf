// SPDX-License-Identifier: Apache-2.0
#include "agent/health/builtin_checks.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/os/fd.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::uint64_t kFilesFreeMin = 100;
// Those that wait for another machine or for a user's process.
constexpr std::string_view kElsewhere[] = {"nfs",  "nfs4",   "cifs", "smb3", "ceph", "lustre",
                                           "gpfs", "beegfs", "9p",   "afs",  "fuse", "fuseblk"};

void JudgeFileSystem(const FileSystemFacts& facts, const HealthLimits& limits,
                     std::vector<std::string>& findings) {
  if (!facts.error.empty()) {
    findings.push_back(Cat("disk: ", facts.path, ": ", facts.error));
  } else if (facts.read_only) {
    findings.push_back(Cat("disk: ", facts.path, " is read-only"));
  } else if (facts.bytes > 0 && facts.bytes_free < limits.disk_free_bytes) {
    findings.push_back(Cat("disk: ", facts.path, " has less than ", FormatBytes(limits.disk_free_bytes),
                           " free of ", FormatBytes(facts.bytes)));
  } else if (limits.disk_free_bytes > 0 && facts.files > 0 && facts.files_free < kFilesFreeMin) {
    findings.push_back(Cat("disk: ", facts.path, " has room for less than ", kFilesFreeMin, " files"));
  }
}

// The last of several mounts in one place counts. Null: none of them is.
const MountLine* ClosestMount(const std::vector<MountLine>& mounts, std::string_view folder) {
  const MountLine* closest = nullptr;
  for (const MountLine& mount : mounts) {
    std::string_view point = mount.point == "/" ? std::string_view() : mount.point;
    bool inside = folder.starts_with(point) && (folder.size() == point.size() || folder[point.size()] == '/');
    if (inside && (closest == nullptr || mount.point.size() >= closest->point.size())) closest = &mount;
  }
  return closest;
}

void SetRoom(const struct statvfs& status, FileSystemFacts& facts) {
  facts.bytes = std::uint64_t{status.f_blocks} * status.f_frsize;
  facts.bytes_free = std::uint64_t{status.f_bavail} * status.f_frsize;
  facts.files = status.f_files;
  facts.files_free = status.f_favail;
}

}  // namespace

bool WaitsForOthers(const std::vector<MountLine>& mounts, std::string_view folder) {
  const MountLine* closest = ClosestMount(mounts, folder);
  return closest != nullptr && (closest->type.starts_with("fuse.") ||
                                std::ranges::find(kElsewhere, closest->type) != std::end(kElsewhere));
}

bool IsReadOnly(const std::vector<MountLine>& mounts, std::string_view device) {
  auto at = std::ranges::find(mounts, device, &MountLine::device);
  return at != mounts.end() && (at->super_options == "ro" || at->super_options.starts_with("ro,"));
}

bool LiesOnReadOnly(const std::vector<MountLine>& mounts, std::string_view folder) {
  const MountLine* closest = ClosestMount(mounts, folder);
  return closest != nullptr && IsReadOnly(mounts, closest->device);
}

std::vector<std::string> JudgeHost(const HostFacts& facts, const HealthLimits& limits) {
  std::vector<std::string> findings;
  for (const FileSystemFacts& one : facts.file_systems) JudgeFileSystem(one, limits, findings);
  if (facts.idle && facts.memory_available_bytes < limits.memory_free_bytes) {
    findings.push_back(
        Cat("memory: less than ", FormatBytes(limits.memory_free_bytes), " are free although nothing runs"));
  }
  if (facts.clock_ahead_ms && limits.clock_offset_ms_max > 0 &&
      std::llabs(*facts.clock_ahead_ms) > limits.clock_offset_ms_max) {
    findings.push_back(Cat("clock: more than ", limits.clock_offset_ms_max, " ms ",
                           *facts.clock_ahead_ms > 0 ? "ahead of" : "behind",
                           " the controller's; is the time synchronised?"));
  }
  return findings;
}

HostFacts LookAtHost(const std::vector<std::string>& folders) {
  HostFacts facts;
  std::string mountinfo = ReadFile("/proc/self/mountinfo").value_or(std::string());
  std::vector<MountLine> mounts = ParseMountinfo(mountinfo);
  for (const std::string& folder : folders) {
    if (WaitsForOthers(mounts, folder)) continue;
    struct statvfs status;
    int error = ::statvfs(folder.c_str(), &status) < 0 ? errno : 0;
    FileSystemFacts& one = facts.file_systems.emplace_back();
    one.path = folder;
    if (error == EACCES) {
      one.read_only = LiesOnReadOnly(mounts, folder);
      continue;
    }
    if (error != 0) {
      one.error = std::strerror(error);
      continue;
    }
    SetRoom(status, one);
    struct stat place {};
    if (::stat(folder.c_str(), &place) == 0)
      one.read_only = IsReadOnly(mounts, Cat(major(place.st_dev), ":", minor(place.st_dev)));
  }
  std::istringstream lines(ReadFile("/proc/meminfo", 65536).value_or(std::string()));
  for (std::string name, rest; lines >> name && std::getline(lines, rest);) {
    if (name == "MemAvailable:")
      facts.memory_available_bytes = std::strtoull(rest.c_str(), nullptr, 10) << 10;
  }
  return facts;
}

}  // namespace slipway
