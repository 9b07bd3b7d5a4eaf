// SPDX-License-Identifier: Apache-2.0
// Which devices, drivers and libraries a host has is told by its files: /proc, /sys, /dev, the loader's
// cache. Code that looks at them takes the root of such a tree, so that hosts which are not at hand (four
// GPUs, half a driver) can be looked at in a test, recorded as text.
//
// Paths are absolute as on that host ("/proc/driver/nvidia/version"); links are followed inside the tree.
// Nothing is written. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

inline constexpr std::size_t kHostTextMax = 1 << 20;

class HostTree {
 public:
  // `root`: "/" is the host itself; any other folder is a recorded one.
  static Result<HostTree> At(const std::string& root);

  // An error names the path as on that host.
  Result<std::string> Read(const std::string& path, std::size_t bytes_max = kHostTextMax) const;
  // Read's text without line ends and spaces around it; nothing when it cannot be read.
  std::optional<std::string> Text(const std::string& path) const;
  // The first `bytes`, and no more of the file is asked for; fewer when it is shorter, nothing when it cannot
  // be read.
  std::optional<std::string> Head(const std::string& path, std::size_t bytes) const;
  // As a number; hexadecimal with 0x in front.
  std::optional<std::int64_t> Number(const std::string& path) const;
  // In order; none when there is no such folder. At most 65536.
  std::vector<std::string> Names(const std::string& folder) const;
  bool Has(const std::string& path) const;
  // A character device; in a recorded tree, where nobody could have made one, any file.
  bool HasDevice(const std::string& path) const;
  // Without links, as on that host; nothing when it is not there.
  std::optional<std::string> Resolve(const std::string& path) const;
  Result<UniqueFd> OpenFile(const std::string& path) const;  // for reading; regular files only
  // Changes when the file is exchanged: inode, size and time of change; "-" when there is none.
  std::string Identity(const std::string& path) const;

  // Where that host's file is from here: what a mount of it has as its source.
  std::string FromHere(const std::string& path) const;
  bool recorded() const { return !root_.empty(); }

 private:
  HostTree(std::string root, UniqueFd fd) : root_(std::move(root)), fd_(std::move(fd)) {}
  std::string root_;  // without a slash at its end: empty for "/"
  UniqueFd fd_;
};

}  // namespace slipway
