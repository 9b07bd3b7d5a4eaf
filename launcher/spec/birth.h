// SPDX-License-Identifier: Apache-2.0
// What the half that made a container's namespaces hands to its child; decided by that half, never by the
// user's spec. The child's own door is launcher/container/birth.h.
#pragma once

#include <functional>
#include <string>

#include "launcher/spec/confinement.h"
#include "launcher/spec/container_policy.h"

namespace slipway {

struct Birth {
  int control_fd = -1;              // SEQPACKET; init_protocol.h; the child owns it
  std::vector<int> task_cgroups{};  // folders, by task; empty: tasks are born where the child is. The child's
  std::string image_path;  // ImageKind::kInherited: where the image is attached in the mount namespace we are
                           // in; empty: none (rootless, or an image of the user's own)
  std::vector<std::string> image_signed_by{};  // with image_path: whose keys signed it (image_signers.h)
  bool proc_masked = false;                    // a fresh /proc will be refused: bind the one there is
  bool pid_namespace = false;                  // the child is the first process of its own already
  BirthRules rules{};
  // The user namespace was made by the user, who could do in it what he likes anyway: only then may tasks
  // keep its capabilities, and programs of the host be given one of them.
  bool own_namespace = false;
  std::string map_note = {};  // for --explain: why the maps are no larger
  ContainerPolicy policy{};
};

// The container's code, given by the program that joins both halves. Neither returns.
struct ContainerEntry {
  std::function<void(const Birth&)> run_init;
  std::function<void(const Birth&)> run_rootless;
};

}  // namespace slipway
