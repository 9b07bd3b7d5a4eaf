// SPDX-License-Identifier: Apache-2.0
// A privileged program believes one file only: root's. It is opened once and judged on the open descriptor,
// so it cannot be exchanged between the check and the reading; an unknown key is an error with its line,
// because a misspelt limit that is ignored is no limit.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

struct BrokerConf {
  std::string node, cluster;  // our name and the cluster's id: credentials must name both
  std::string run_dir = "/run/slipway";
  std::string state_dir = "/var/lib/slipway/broker";
  std::string image_dir;  // default: state_dir/images
  std::string controller_key = "/etc/slipway/controller.pub";
  std::string stepd = "/usr/libexec/slipway/slipway-stepd";
  std::string import = "/usr/libexec/slipway/slipway-import";
  std::string holder_socket;  // default: run_dir/holder.sock
  std::string cgroup;         // below the cgroup2 mount; default: a directory beside our own cgroup
  std::uint32_t agent_uid = 0, agent_gid = 0;  // who may ask
  std::uint32_t import_uid = 0,
                import_gid = 0;  // who parses foreign images; 0: imports are refused (rootless: us)
  bool rootless = false;

  std::string socket() const { return run_dir + "/broker.sock"; }
  std::string steps_dir() const { return run_dir + "/steps"; }
  std::string mounts_dir() const { return run_dir + "/mounts"; }
};

// key = value lines, # comments. kInvalidArgument names the line.
Result<BrokerConf> ParseConf(std::string_view text);
// The bytes of a regular file that `owner` or root owns and nobody else can write; kPermissionDenied
// otherwise.
Result<std::string> ReadTrustedFile(const std::string& path, uid_t owner);
// Made with `mode` where missing; kPermissionDenied when somebody other than `owner` could write in it.
Result<> MakeTrustedDirectory(const std::string& path, uid_t owner, unsigned mode);
Result<BrokerConf> LoadConf(const std::string& path);

}  // namespace slipway
