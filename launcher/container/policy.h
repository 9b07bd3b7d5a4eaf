// SPDX-License-Identifier: Apache-2.0
// The admin's policy held against what the user asks for. The decisions are pure; what they judge by (owner,
// place and kind of an image, whose a bind's source is) is taken from opened descriptors, because paths are
// the user's to change between a look and a use, and folders are compared by identity, component by
// component: a limit /scratch says nothing about /scratch2 (CVE-2026-48785).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/spec/confinement.h"
#include "launcher/spec/container_policy.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ImageFacts {
  std::string name;  // for the words of a refusal
  std::string kind;  // as in allow_images
  uid_t owner = 0;
  gid_t group = 0;
  bool within_paths = false;           // below one of limit_paths
  std::vector<std::string> signed_by;  // fingerprints whose signature was verified on this very descriptor
};
// kPermissionDenied names the key that would have to change. A signature that nobody has verified is none.
Result<> JudgeImage(const ContainerPolicy& policy, const ImageFacts& facts);

struct BindFacts {
  std::string source, target;
  bool his_folder = false;  // a directory that belongs to the user
  bool forbidden = false;   // within, or above, one of forbid_bind
};
Result<> JudgeBind(const ContainerPolicy& policy, const BindFacts& facts);

// What else of a spec needs leave: layers over the image.
Result<> JudgeLayers(const ContainerPolicy& policy, const LaunchSpec& spec);

// Inside a user namespace that root made: the defaults are added to what tasks keep, and what may be asked
// for is bounded by default and allowed ones together.
Result<> SetCapabilities(const ContainerPolicy& policy, Confinement& wanted, BirthRules& rules);

// Of the scratch and what is written over the image: the smaller of what the site and the user say, as
// tmpfs(5) has it; empty: the kernel's default. What the user gives as a percentage is bounded by the site's
// alone.
std::string TmpfsSize(const ContainerPolicy& policy, const std::string& asked);

// The admin's own binds; they come after the user's, so that nothing of his lies over them.
std::vector<Mount> ForcedBinds(const ContainerPolicy& policy);

// ---- the facts

// `fd`: of the image's file, or of its directory.
Result<ImageFacts> FactsOf(const ContainerPolicy& policy, const ImageSource& image, int fd);
// Whether `fd` is `folder` or lies below it; false when there is no such folder.
Result<bool> IsWithin(int fd, const std::string& folder);
// `source_fd`: O_PATH.
Result<BindFacts> FactsOfBind(const ContainerPolicy& policy, const Mount& mount, int source_fd);

}  // namespace slipway
