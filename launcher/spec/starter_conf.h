// SPDX-License-Identifier: Apache-2.0
// /etc/slipway/starter.conf: the one file that the privileged programs believe. key = value lines, #
// comments; lists are separated by blanks. An unknown key is an error with its line and column, because a
// misspelt limit that is ignored is no limit. Pure: who may have written the file is judged in
// launcher/broker/conf.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/container_policy.h"
#include "launcher/spec/import_limits.h"

namespace slipway {

inline constexpr const char* kStarterConf = "/etc/slipway/starter.conf";
inline constexpr std::uint32_t kNoId = 0xffff'ffff;

struct BrokerConf {
  std::string node, cluster;  // our name and the cluster's id: credentials must name both
  std::string run_dir = "/run/slipway";
  std::string state_dir = "/var/lib/slipway/broker";
  std::string image_dir;  // default: state_dir/images
  std::string controller_key = "/etc/slipway/controller.pub";
  std::string image_keys = "/etc/slipway/image-keys";  // whose signatures count when an image is imported
  std::string stepd = "/usr/libexec/slipway/slipway-stepd";
  std::string import = "/usr/libexec/slipway/slipway-import";
  std::string broker = "/usr/libexec/slipway/slipway-broker";
  std::string holder_socket;  // default: run_dir/holder.sock
  std::string cgroup;         // below the cgroup2 mount; default: a directory beside our own cgroup
  std::uint32_t agent_uid = kNoId, agent_gid = 0;  // who may ask
  std::uint32_t import_uid = 0,
                import_gid = 0;  // who parses foreign images; 0: imports are refused (rootless: us)
  ImportLimits import_limits;
  bool rootless = false;
  bool allow_setuid = true, allow_exec = true, allow_import = true;
  std::uint32_t exec_per_user = 64;  // containers that the broker runs at once for one user's `exec`
  ContainerPolicy container;

  // The one that has libpmix lies beside the plain one.
  std::string stepd_program(bool pmix) const { return pmix ? stepd + "-pmix" : stepd; }
  std::string socket() const { return run_dir + "/broker.sock"; }
  std::string exec_socket() const { return run_dir + "/exec.sock"; }
  std::string steps_dir() const { return run_dir + "/steps"; }
  std::string mounts_dir() const { return run_dir + "/mounts"; }
  std::string names_file() const { return state_dir + "/names"; }  // "NAME DIGEST" lines, root's
};

// A key, where its value is, and what the value must be.
struct ConfKey {
  using Slot = std::variant<std::string*, std::uint32_t*, std::uint64_t*, bool*, std::vector<std::string>*,
                            std::vector<std::uint32_t>*>;
  enum Want { kAny, kPath, kBind, kKind, kCapability };  // of a text, or of each text of a list
  std::string_view name;
  Slot slot;
  Want want = kAny;
};
std::vector<ConfKey> ConfKeys(BrokerConf& conf);

// kInvalidArgument: "line L, column C: …".
Result<BrokerConf> ParseConf(std::string_view text);

}  // namespace slipway
