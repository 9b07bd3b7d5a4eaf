// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/hook.h"

#include <algorithm>
#include <array>

namespace slipway {
namespace {

constexpr std::array<std::string_view, 6> kStageNames = {"prestart",       "createRuntime", "createContainer",
                                                         "startContainer", "poststart",     "poststop"};

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<> CheckHook(const Hook& hook) {
  auto stage = static_cast<std::size_t>(hook.stage);
  if (stage < 1 || stage > kStageNames.size()) return Fail(Code::kInvalidArgument, "unknown stage ", stage);
  if (hook.path.empty() || hook.path[0] != '/' || HasNul(hook.path) || hook.path.size() > 4095)
    return Fail(Code::kInvalidArgument, "path '", hook.path.substr(0, 128), "' is not absolute");
  if (std::any_of(hook.args.begin(), hook.args.end(), HasNul))
    return Fail(Code::kInvalidArgument, hook.path, ": an argument holds a NUL byte");
  for (const std::string& entry : hook.env) {
    auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || HasNul(entry))
      return Fail(Code::kInvalidArgument, hook.path, ": env '", entry.substr(0, 64), "' is not NAME=value");
  }
  if (hook.timeout_s > kHookTimeoutMax_s)
    return Fail(Code::kInvalidArgument, hook.path, ": a timeout of ", hook.timeout_s, " s; at most ",
                kHookTimeoutMax_s);
  return {};
}

}  // namespace

std::string_view StageName(HookStage stage) {
  auto index = static_cast<std::size_t>(stage) - 1;
  return index < kStageNames.size() ? kStageNames[index] : "unknown";
}

Result<HookStage> StageNamed(std::string_view name) {
  auto at = std::find(kStageNames.begin(), kStageNames.end(), name);
  if (at == kStageNames.end())
    return Fail(Code::kInvalidArgument, "'", name.substr(0, 64),
                "' is not a stage (prestart, createRuntime, createContainer, startContainer, poststart, "
                "poststop)");
  return static_cast<HookStage>(at - kStageNames.begin() + 1);
}

Result<> CheckHooks(const std::vector<Hook>& hooks) {
  if (hooks.size() > kHooksMax) return Fail(Code::kInvalidArgument, "hooks: ", hooks.size(), " of them");
  for (const Hook& hook : hooks) TRY_CONTEXT(CheckHook(hook), "hooks");
  return {};
}

}  // namespace slipway
