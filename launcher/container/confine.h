// SPDX-License-Identifier: Apache-2.0
// The last that is done to the init before anything of the image runs: capabilities, system calls, the
// host's security module. Prepared while the host's tree is still there, applied once the container stands.
#pragma once

#include "base/os/fd.h"
#include "launcher/container/environment.h"
#include "launcher/spec/confinement.h"

namespace slipway {

class Confining {
 public:
  // Refuses what is not allowed here, before anything is made. Borrows `wanted`.
  static Result<Confining> Prepare(const Confinement& wanted, const BirthRules& rules);
  // For good: this process and all that it forks. The user's own filter is not in it (container/seccomp.h).
  Result<> Apply();

 private:
  Confining(const Confinement& wanted, const BirthRules& rules) : wanted_(&wanted), rules_(rules) {}
  const Confinement* wanted_;
  BirthRules rules_;
  CapabilitySet keep_ = 0;
  UniqueFd proc_;  // the host's, where a label is wanted
};

// ContainerEnvironment(), evaluated by a child under the user's own filter where there is one: the image's
// scripts are the image's code.
Result<Environment> ConfinedEnvironment(const Confinement& wanted, const Environment& env,
                                        const ImagePart& image);

}  // namespace slipway
