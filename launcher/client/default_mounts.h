// SPDX-License-Identifier: Apache-2.0
// What is in every container without being asked for, and the options that change it: Apptainer's defaults,
// with a minimal /dev.
#pragma once

#include <string>
#include <vector>

#include "launcher/client/user.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct PlaceOptions {
  std::vector<std::string> no_mount;  // proc, sys, dev, devpts, home, tmp, hostfs, cwd, bind-paths, a path
  std::vector<std::string> scratch;   // --scratch DIR: an empty folder there
  std::string home;                   // --home "SRC[:DEST]"
  std::string workdir;                // where scratch and contained folders are kept; empty: in memory
  bool no_home = false;
  bool contain = false;  // /tmp, /var/tmp and the home directory are empty, no working directory
};

// Where the home directory comes from and where it is inside.
struct Home {
  std::string source, target;
  bool asked_for = false;  // by --home: it is bound even into a contained one
};
// `fakeroot`: root's home is /root. kInvalidArgument for a --home that is none.
Result<Home> HomeOf(const PlaceOptions& options, const User& user, bool fakeroot);

// In the order in which they are to be mounted; the user's own binds come after. Makes folders in `workdir`.
// `cwd`: the caller's working directory; empty: none.
Result<std::vector<Mount>> DefaultMounts(const PlaceOptions& options, const Home& home,
                                         const std::string& cwd);
// --scratch; after the user's binds, so that one may lie in them.
Result<std::vector<Mount>> ScratchMounts(const PlaceOptions& options);

}  // namespace slipway
