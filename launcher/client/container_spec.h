// SPDX-License-Identifier: Apache-2.0
// What a person who types `slipway exec` expects to find in the container without saying so: home, working
// directory, /tmp, his name, his environment. Apptainer's defaults, with a minimal /dev.
#pragma once

#include <string>
#include <vector>

#include "launcher/client/image_file.h"
#include "launcher/client/user.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ContainerOptions {
  std::vector<std::string> binds;  // "SRC[:DEST[:ro|rw]]", as given
  std::vector<std::string> env;    // "NAME=value", wins over the image's
  bool clean_env = false;          // nothing of the caller's environment but HOME, USER, TERM, LANG
  bool no_home = false;
  bool contain = false;  // /tmp, /var/tmp and the home directory are empty file systems, no working directory
  bool writable_tmpfs = false;
  bool no_pid = false;
  std::string pwd;  // working directory inside; empty: the caller's
  std::string hostname;
};

// One Mount of a --bind argument (which may hold several, separated by commas).
Result<std::vector<Mount>> ParseBind(const std::string& argument);

// `caller_env`: the caller's environment; `cwd`: his working directory. Argv is the caller's to set.
// Descriptor 0 of the spec is the image's file (when there is one), the next one stdin.
Result<LaunchSpec> MakeContainerSpec(const ImageFile& image, const ContainerOptions& options,
                                     const User& user, const std::vector<std::string>& caller_env,
                                     const std::string& cwd);

}  // namespace slipway
