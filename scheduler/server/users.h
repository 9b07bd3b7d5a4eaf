// SPDX-License-Identifier: Apache-2.0
// Who somebody is on this host: the controller's account database decides name, groups, home and shell of a
// job's user, at the moment of its submission. Any thread; answers are kept for a minute, because directories
// (LDAP) can be slow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result/result.h"
#include "scheduler/core/job_spec.h"

namespace slipway::scheduler {

// kNotFound when no account has this uid.
Result<User> LookUpUser(std::uint32_t uid);
std::optional<std::uint32_t> UidOfName(const std::string& name);
struct UserName {
  std::uint32_t uid = 0;
  std::string name;
};
// Of a name, or of a uid in digits: administrators may name people before the directory knows them.
Result<UserName> WhoIs(const std::string& user);
std::string NameOfUid(std::uint32_t uid);  // the number, where there is no name

}  // namespace slipway::scheduler
