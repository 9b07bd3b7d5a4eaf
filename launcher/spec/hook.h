// SPDX-License-Identifier: Apache-2.0
// A program of the host's admin that takes part in a container's making (OCI runtime hooks; CDI names them
// too). It is run with the user's rights, by our own unprivileged code, and never with anything that the
// container's environment or the user's says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/wire/wire.h"

namespace slipway {

// In the order of a container's life. The names are the OCI runtime specification's.
enum class HookStage : std::uint8_t {
  kPrestart = 1,     // outside, the namespaces made, the container's root not yet entered
  kCreateRuntime,    // the same; prestart is its older name
  kCreateContainer,  // in the container's namespaces, the host's tree still there: the path is the host's
  kStartContainer,   // inside: the path is the image's
  kPoststart,        // outside, the tasks run
  kPoststop,         // outside, the container is gone
};
std::string_view StageName(HookStage stage);
Result<HookStage> StageNamed(std::string_view name);

struct Hook {
  HookStage stage = HookStage::kCreateContainer;
  std::string path;               // absolute
  std::vector<std::string> args;  // argv, argv[0] included; empty: just the path
  std::vector<std::string> env;   // NAME=value: all that it gets
  std::uint32_t timeout_s = 0;    // 0: kHookTimeoutDefault_s
};
void Fields(auto& archive, IsA<Hook> auto& v) { archive(v.stage, v.path, v.args, v.env, v.timeout_s); }

inline constexpr std::uint32_t kHookTimeoutDefault_s = 30, kHookTimeoutMax_s = 3600;
inline constexpr std::size_t kHooksMax = 256;

// Stage, absolute path, no NUL, NAME=value, a deadline within bounds.
Result<> CheckHooks(const std::vector<Hook>& hooks);

}  // namespace slipway
