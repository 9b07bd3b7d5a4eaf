// SPDX-License-Identifier: Apache-2.0
// Mounts and injected files find their place in the container's root: before it stands, mount points are made
// for them in our layer; afterwards they are attached, in the spec's order.
#pragma once

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/container/layer.h"
#include "launcher/container/report.h"
#include "launcher/container/sources.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

class Placement {
 public:
  // All borrowed. `layer` is where files that find no place in the root are bound from.
  Placement(const LaunchSpec& spec, std::vector<MountSource>& sources, Layer& layer, Report& report)
      : spec_(spec), sources_(sources), layer_(layer), report_(report) {}

  // Mount points and files that the image lacks, in the layer. A target below an earlier mount is that
  // mount's affair.
  Result<> Prepare();
  // `layered`: the layer is in the root. `writable`: what is missing in the root may be made there.
  Result<> AttachAll(int root_fd, int scratch_fd, bool layered, bool writable);

 private:
  const Mount* Covering(const std::string& target, const Mount* before) const;
  Result<UniqueFd> MakeIn(const std::string& target, bool directory);
  Result<UniqueFd> OpenTarget(const std::string& target, bool directory, const Mount* covering);
  Result<> Cover(const MountSource& source);
  Result<> Attach(const MountSource& source);
  Result<> BindFromLayer(const Layer::Made& made);
  Result<> BindFiles(int scratch_fd, bool layered);
  void Note(const MountSource& source, bool attached);

  const LaunchSpec& spec_;
  std::vector<MountSource>& sources_;
  Layer& layer_;
  Report& report_;
  int root_fd_ = -1;
  bool writable_ = false;
  std::vector<std::string> homeless_;  // optional mounts without a place in the root
};

}  // namespace slipway
