// SPDX-License-Identifier: Apache-2.0
// From tars straight into a squashfs: nothing is unpacked on a disk, no root is needed, and memory grows with
// the number of files, not with their bytes. Equal layers give equal bytes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/tar_stream.h"

namespace slipway::squashfs {

// A layer may have to be read a second time (see LayerMerge::Settle): `open` gives it anew each time.
struct Layer {
  std::string name;  // for errors: its digest, or the file's name
  std::function<Result<std::unique_ptr<ByteSource>>()> open;
};

// Files that are put into the image beside what the layers hold.
struct AddedFile {
  std::string path;
  std::uint32_t mode = S_IFREG | 0644;
  std::string content;  // of a file; the target of a symlink
};

struct LayerPackOptions {
  PackOptions pack;
  std::uint32_t time = 0;        // of the file system itself, seconds since 1970; pack.epoch wins
  std::vector<AddedFile> over;   // whatever the layers hold in their places
  std::vector<AddedFile> under;  // only where the layers hold nothing
};

// `layers` from the bottom up, as manifests list them.
Result<PackSummary> PackLayers(const std::vector<Layer>& layers, int out_fd,
                               const LayerPackOptions& options = {});

}  // namespace slipway::squashfs
