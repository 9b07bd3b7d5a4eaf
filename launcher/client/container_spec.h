// SPDX-License-Identifier: Apache-2.0
// What a person who types `slipway exec` means: his options, and what he expects to find in the container
// without saying so, become one LaunchSpec.
#pragma once

#include <string>
#include <vector>

#include "launcher/client/container_env.h"
#include "launcher/client/default_mounts.h"
#include "launcher/client/image_file.h"
#include "launcher/client/overlay_options.h"
#include "launcher/client/spec_files.h"
#include "launcher/client/user.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ContainerOptions {
  std::vector<std::string> binds;   // --bind, as given
  std::vector<std::string> mounts;  // --mount, as given
  EnvOptions env;
  PlaceOptions places;
  WriteOptions writing;
  bool fakeroot = false;
  bool no_pid = false;
  bool uts = false;
  bool explain = false;
  std::string pwd;  // working directory inside; empty: the caller's
  std::string hostname;
  std::string network;           // "none" or empty (the host's)
  std::vector<std::string> dns;  // servers for /etc/resolv.conf, comma lists as given
  std::string app;
  unsigned umask = 022;
};

// `caller_env`: the caller's environment; `cwd`: his working directory. Argv is the caller's to set.
// The spec's descriptors come to `files`: 0 is the image's file (when there is one; borrowed), the last one
// stdin (borrowed).
Result<LaunchSpec> MakeContainerSpec(const ImageFile& image, const ContainerOptions& options,
                                     const User& user, const std::vector<std::string>& caller_env,
                                     const std::string& cwd, SpecFiles& files);

}  // namespace slipway
