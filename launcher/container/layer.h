// SPDX-License-Identifier: Apache-2.0
// With one uid mapped nothing can be made in an image's root-owned folders through an overlay (EACCES,
// EOVERFLOW), so mount points and injected files are made beforehand in a folder that is then laid over the
// image. Paths are walked as the container will see them: symlinks of the image count, inside the image.
#pragma once

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

class Layer {
 public:
  // `image_fd`: the image's root; `layer_fd`: an empty folder of ours. Both borrowed.
  Layer(int image_fd, int layer_fd) : image_fd_(image_fd), layer_fd_(layer_fd) {}

  // Afterwards `target` is a directory (or not one) in image and layer together. kFailedPrecondition when the
  // image has something of the other kind there.
  Result<> NeedMountPoint(const std::string& target, bool directory);
  Result<> PutFile(const std::string& target, const std::string& content, unsigned mode);
  // A line of passwd(5) or group(5), added to the image's file unless it has the name or the number already.
  Result<> AddAccountLine(const std::string& target, std::string line);

  bool used() const { return used_; }  // something was made
  struct Made {
    std::string target, path;  // as asked for; in the layer
    bool account = false;      // by AddAccountLine
  };
  const std::vector<Made>& made() const { return made_; }  // files that have content
  int fd() const { return layer_fd_; }

 private:
  struct Place {
    std::string path;  // relative to the root, no symlinks, as far as things exist
    bool exists = false;
    unsigned mode = 0;  // of what exists
  };
  Result<Place> Walk(const std::string& target);
  Result<> MakeParents(const std::string& path);
  bool Stat(const std::string& path, unsigned& mode, bool& in_layer) const;

  int image_fd_, layer_fd_;
  bool used_ = false;
  std::vector<Made> made_;
};

}  // namespace slipway
