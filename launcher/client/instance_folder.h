// SPDX-License-Identifier: Apache-2.0
// An instance is a running container with a name. What is known of it lies in a folder of its user's, mode
// 0700: the keeper's socket, a state file, and a lock that the keeper holds as long as it lives, so that what
// a killed keeper or a power cut left behind is known for what it is.
//
// The folder is its user's to edit. Nothing privileged ever reads it (CVE-2019-11328 was that mistake): the
// worst that a forged state does is to show its forger something wrong.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/wire/wire.h"
#include "launcher/client/user.h"

namespace slipway {

struct InstanceState {
  std::uint32_t version = 1;
  std::string name, image;                    // the image's absolute path
  std::vector<std::string> argv;              // what it was started with, behind the name
  std::int32_t keeper_pid = 0, init_pid = 0;  // of the container's first process, as seen outside
  std::int32_t starter_pid = 0;               // every process of the container descends from it
  std::string home;                           // HOME inside
  std::int64_t started_s = 0;                 // since 1970
  std::string log_out, log_err;
  std::string cgroup;  // below the cgroup2 mount, where it has one of its own; else empty
};
void Fields(auto& archive, IsA<InstanceState> auto& v) {
  archive(v.version, v.name, v.image, v.argv, v.keeper_pid, v.init_pid, v.starter_pid, v.home, v.started_s,
          v.log_out, v.log_err, v.cgroup);
}

// 1 to 64 of letters, digits, '_', '-' and '.', beginning with a letter or digit.
Result<> CheckInstanceName(std::string_view name);

// Bounded and checked.
Result<InstanceState> DecodeInstanceState(std::string_view bytes);

// Where a user's instances of this host are: $XDG_RUNTIME_DIR/slipway/instances (or /run/user/UID, so that it
// does not depend on how he logged in), else ~/.slipway/instances/HOST. Made if it is not there; refused
// unless it is the caller's alone.
Result<std::string> InstancesFolder(const User& user);
// Where their output goes: ~/.slipway/logs/HOST. It stays when an instance ends, for whoever asks why.
Result<std::string> InstanceLogFolder(const User& user);

inline std::string InstanceSocket(const std::string& folder) { return folder + "/sock"; }
inline std::string InstanceStateFile(const std::string& folder) { return folder + "/state"; }

// A name taken by us: nobody else has it as long as `lock` is open (in any process).
struct InstanceClaim {
  std::string name, folder;
  UniqueFd lock;
};
// What an earlier, dead instance of that name left is removed. kAlreadyExists when it runs.
Result<InstanceClaim> ClaimInstance(const std::string& parent, const std::string& name);
// Removes the folder; the name is free.
void ReleaseInstance(InstanceClaim claim);

// kNotFound when no instance of that name runs; remains of a dead one are removed.
Result<InstanceState> FindInstance(const std::string& parent, const std::string& name);
// Those that run, by name; remains are removed. One whose state cannot be read is there with its name alone,
// so that it can still be stopped.
Result<std::vector<InstanceState>> ListInstances(const std::string& parent);

}  // namespace slipway
