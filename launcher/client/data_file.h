// SPDX-License-Identifier: Apache-2.0
// Data bound out of a file, and what is laid over an image, may be a squashfs, an ext3 file system, or a part
// of a SIF.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// A file system that is not the root: data bound out of a file, or an overlay. fd 0 of the sources is `file`.
struct FileSystemFile {
  std::vector<ImageSource> sources;  // one, but for the overlays of a SIF
  UniqueFd file;
  bool writable = false;
};
// A squashfs, an ext2/3/4 file system, or a partition of a SIF: the one of that `id`; 0: its only data
// partition, or its system where it has no data. One line that names what it is instead, or the ids.
Result<FileSystemFile> OpenDataFile(const std::string& path, std::uint64_t id);
// The same of what is laid over an image: of a SIF all its overlay partitions. `write`: an ext file system is
// to be written to, which in a SIF is refused; a squashfs is read all the same.
//
// A whole file that is an ext file system is locked for as long as the open file is there (ext_lock.h).
Result<FileSystemFile> OpenOverlayFile(const std::string& path, bool write);
// Whether one of those would be an ext file system; no where there is none to be opened.
bool HoldsExtOverlay(const std::string& path);

}  // namespace slipway
