// SPDX-License-Identifier: Apache-2.0
// Root can make a user namespace where the host's admin has forbidden them to users. What runs in it must not
// gain by that: the container's code is told to refuse nested ones (BirthRules).
#pragma once

#include <string>

#include "launcher/spec/confinement.h"

namespace slipway {

// Whether an ordinary user of this host may make a user namespace that is good for anything, by
// kernel.unprivileged_userns_clone, user.max_user_namespaces and AppArmor's restriction. A setting that this
// kernel does not have forbids nothing; one that cannot be read forbids. `sysctl_dir`: /proc/sys.
bool UsersMayMakeNamespaces(const std::string& sysctl_dir = "/proc/sys");

// Read anew for each container: sysctls change.
BirthRules RulesOfThisHost();

}  // namespace slipway
