// SPDX-License-Identifier: Apache-2.0
// The one thing about a container that needs root: its namespaces. The child is born in them with euid 0 and
// drops its ids afterwards, so the user namespace is root's and the user's other processes can neither enter
// nor trace it; the mount namespace is born as a copy of the broker's across the user-namespace border, which
// locks the flags of the image mounts for good. What happens inside is the container's own code, reached
// through ContainerEntry.
#pragma once

#include <functional>
#include <string>

#include "launcher/broker/half_born.h"
#include "launcher/broker/identity.h"
#include "launcher/spec/birth.h"

namespace slipway {

// Of a job on this node: shared by all its steps, so that CMA and shared memory work among them.
struct JobNamespaces {
  UniqueFd user, ipc;
};

struct BirthPlan {
  UserIds identity;
  Birth birth;
  Surroundings surroundings = Surroundings::kOwn;
  int cgroup_fd = -1;
  int log_fd = -1;                      // the init's stderr; kOwn only
  const JobNamespaces* join = nullptr;  // null: the first step of its job; new ones are made
  // In the parent, while the child waits to become the user; may be empty.
  std::function<Result<>(pid_t)> prepare;
  bool goes_on = false;  // by itself; otherwise it waits behind its gate for Tell('g')
};

// Both return while the child still prepares itself: HearReady() waits for it, and has its error.
// BearContainer is root's.
Result<HalfBorn> BearContainer(const BirthPlan& plan, const ContainerEntry& entry);
// The same as an ordinary user: the child makes its own namespaces behind the gate.
Result<HalfBorn> BearRootless(const BirthPlan& plan, const ContainerEntry& entry);
// Of a child that BearContainer made.
Result<JobNamespaces> NamespacesOf(pid_t pid);

}  // namespace slipway
