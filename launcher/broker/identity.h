// SPDX-License-Identifier: Apache-2.0
// Whom a process becomes, and that it became him for good: privilege that was dropped and can be taken back
// was not dropped (GHSA-mmx5-32m4-wxvx), so every drop is proved after the fact.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway {

struct UserIds {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;  // supplementary; the primary one is added where it is missing and fits
};

// setgroups and setresgid; as root.
Result<> TakeGroups(const UserIds& who);
// The ids are his and root cannot be had again. kInternal otherwise: the caller must end the process.
Result<> ProveUser(const UserIds& who);
// TakeGroups, then the user ids and every capability, proved (getresuid, capget, a try to regain).
Result<> BecomeForGood(const UserIds& who);

// Writes setgroups=deny and identity maps of a process that has just entered a user namespace. setgroups
// first: otherwise the user could drop a group that is meant to shut him out of a file.
Result<> WriteMaps(int pid, const UserIds& who);
// UserIds lines for the primary group and as many others as the kernel's one page holds.
std::string GroupMap(std::uint32_t gid, const std::vector<std::uint32_t>& groups);

}  // namespace slipway
