// SPDX-License-Identifier: Apache-2.0
// Runs one hook to its end: as the calling user, with no way to gain privilege, with exactly the environment
// that its file names, the state on its standard input, and a deadline. Nothing that a container or its image
// says reaches it but through that state (CVE-2025-23266 was a hook that ran with the container's
// LD_PRELOAD).
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/hook.h"

namespace slipway {

// `in_child`: in the child, right before its exec; may be empty. The error says how the hook ended and the
// last line that it wrote. What it leaves running of its own session is ended. From one thread of a process
// without others. The working directory is /.
Result<> RunHook(const Hook& hook, std::string_view state, const std::function<Result<>()>& in_child = {});

// All of that stage, in order, until one fails.
Result<> RunHooks(const std::vector<Hook>& hooks, HookStage stage, std::string_view state,
                  const std::function<Result<>()>& in_child = {});

bool HasStage(const std::vector<Hook>& hooks, HookStage stage);

}  // namespace slipway
