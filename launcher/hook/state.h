// SPDX-License-Identifier: Apache-2.0
// What a hook is told on its standard input, and the bundle that it finds its way by.
//
// Pure. Source: OCI runtime specification 1.0.2, runtime.md (State) and config.md.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "launcher/spec/launch_spec.h"

namespace slipway {

struct HookState {
  std::string id;
  std::string_view status;  // "creating", "created", "running", "stopped"
  pid_t pid = 0;            // of the container's init, where the hook runs; 0: none any more
  std::string bundle;       // a folder with config.json
};
std::string StateJson(const HookState& state);

// config.json: where the root is, what will run. `root_path` as the hook sees it.
std::string BundleConfig(const LaunchSpec& spec, std::string_view root_path);

// A JSON string, quotes included; bytes that are no UTF-8 become U+FFFD.
std::string JsonQuoted(std::string_view text);

}  // namespace slipway
