// SPDX-License-Identifier: Apache-2.0
// The kernel parses squashfs with few defences, so it is given only file systems that these functions wrote:
// from a directory, or by reading somebody else's squashfs without privilege and writing it anew. Written by
// libsquashfs, zstd, sorted: equal input gives equal bytes. Memory is bounded by the number of entries, not
// by the data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::squashfs {

enum class Treatment { kKeep, kDrop, kRefuse };

// What an image may hold. Dropped: a device node is left out, a set-id bit is cleared, a capability is left
// off; each is listed. Extended attributes other than user.* are always left out.
struct Policy {
  Treatment devices = Treatment::kDrop;  // fifos and sockets are not devices: they are kept and dropped
  Treatment set_id = Treatment::kDrop;
  Treatment file_capabilities = Treatment::kDrop;
  bool ids_to_root = true;  // every owner and group becomes 0
};
// Of slipway-import: a device node is refused (nobody needs one, and some are made to do harm); set-id bits
// and capabilities, which every distribution's root has, are dropped and listed.
Policy ImportPolicy();

struct Limits {
  std::uint64_t entries_max = 8'000'000;
  std::uint64_t bytes_max = std::uint64_t{1} << 40;  // of file data, unpacked
  unsigned depth_max = 512;                          // of directories
  // What sets them, for who is refused: "--max-bytes". Empty: nobody can.
  std::string entries_setting, bytes_setting, depth_setting;
};

struct Progress {
  std::uint64_t entries = 0, bytes = 0;              // done so far (bytes of file data, unpacked)
  std::uint64_t entries_total = 0, bytes_total = 0;  // 0 until the whole tree has been looked at
};
// Called from the packing thread now and then. An error ends the work and is returned from it.
using ProgressCallback = std::function<Result<>(const Progress&)>;

enum class Compressor { kZstd, kGzip, kXz, kLz4 };
std::optional<Compressor> CompressorOf(std::string_view name);  // "zstd", "gzip", "xz", "lz4"

struct PackOptions {
  Policy policy;
  Limits limits;
  Compressor compressor = Compressor::kZstd;
  int zstd_level = 3;
  unsigned workers = 0;               // 0: one for each CPU that we may use
  std::optional<std::int64_t> epoch;  // times later than this become it; also the file system's own time
  std::uint64_t out_offset = 0;  // where in out_fd the file system begins; a multiple of 4096 to be mounted
  bool flush_early = false;      // the caller flushes out_fd in the end: begin with it while there is work
  ProgressCallback progress;
};

struct PackSummary {
  std::uint64_t entries = 0;    // of every kind, the root included
  std::uint64_t bytes_in = 0;   // file data, unpacked, hard links counted once
  std::uint64_t bytes_out = 0;  // the file system, padded to 4096
  std::uint64_t dropped_count = 0;
  std::vector<std::string> dropped;  // "set-id bit: usr/bin/su"; the first 100
};

// The directory `dir_fd` (borrowed) as a squashfs in `out_fd` (borrowed, readable and writable, seekable).
Result<PackSummary> PackDirectory(int dir_fd, int out_fd, const PackOptions& options = {});

// A part of a file that holds a squashfs.
struct Window {
  int fd = -1;  // borrowed
  std::uint64_t offset = 0, size = 0;
};
// A foreign squashfs (any compressor that libsquashfs knows) written anew. kInvalidArgument when it is
// damaged, kPermissionDenied when the policy refuses what it holds, kOutOfRange beyond the limits.
Result<PackSummary> Repack(const Window& in, int out_fd, const PackOptions& options = {});

}  // namespace slipway::squashfs
