// SPDX-License-Identifier: Apache-2.0
// An image is made from a recipe that one can read and keep. Build turns a definition file (Apptainer's
// syntax) or a directory into a SIF: bootstrap, %files, %post, metadata, pack. Everything happens in a
// temporary directory that is gone afterwards however it ends, and the output appears whole or not at all.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "imagestore/build/build_cache.h"
#include "imagestore/build/deffile.h"
#include "imagestore/squashfs/pack.h"

namespace slipway::build {

// One step of a build: "cache", "bootstrap", "%files", "%post", "%test", "pack", "write".
struct BuildProgress {
  std::string phase;
  std::string detail;                 // for people: "installing Debian bookworm with 14 packages"
  std::uint64_t done = 0, total = 0;  // bytes while packing; 0 of 0 where nobody knows
};

struct BuildOptions {
  std::string source;       // a definition file, or a directory that is packed as it is
  std::string output;       // the SIF; its folder must exist
  bool force = false;       // replace an output that is there
  bool run_tests = true;    // %test
  std::string temp_parent;  // empty: $TMPDIR, else the output's folder
  squashfs::Compressor compressor = squashfs::Compressor::kZstd;
  int zstd_level = 3;  // where the compressor is zstd
  squashfs::Limits limits;
  bool digest = true;   // of the finished SIF, which is read once more for it
  Arguments arguments;  // what {{ NAME }} in the recipe stands for
  // Where the trees after bootstrap and sections are kept for the next build (build_cache.h); empty: nowhere.
  std::string cache_folder;
  std::uint64_t cache_bytes_max = kBuildCacheBytes;
  // Brings what "Bootstrap: docker" and the like name ("docker://host/name:tag"): the path of a SIF. Empty:
  // such recipes are refused; whoever can talk to networks sets it.
  std::function<Result<std::string>(const std::string& address)> fetch;
  std::function<void(const BuildProgress&)> progress;  // may be empty; called from the caller's thread
  std::function<void(std::string_view)> log;  // lines of mmdebstrap's and the sections' output; may be empty
  // Set from a signal handler (Ctrl-C): the build stops, cleans up and returns kCancelled.
  const std::atomic<bool>* cancelled = nullptr;
};

struct BuildSummary {
  std::string digest;  // sha256 of the SIF; empty where none was asked for
  std::uint64_t size = 0;
  std::uint64_t entries = 0;
  std::vector<std::string>
      dropped;  // devices, set-id bits and capabilities that were left out; the first 100
};

// As root, or as an ordinary user with subordinate ids (uidmap, /etc/subuid): sections run as root of their
// own user namespace then. A directory needs neither. Errors name the section, its line in the file, and end
// with the last lines of its output.
Result<BuildSummary> Build(const BuildOptions& options);

}  // namespace slipway::build
