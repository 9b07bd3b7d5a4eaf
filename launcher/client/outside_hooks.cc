// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/outside_hooks.h"

#include <unistd.h>

#include "base/os/fd.h"
#include "launcher/hook/run_hook.h"
#include "launcher/hook/state.h"

namespace slipway {

OutsideHooks::~OutsideHooks() {
  if (!bundle_.empty()) [[maybe_unused]]
    auto removed = RemoveTree(bundle_);
}

Result<> OutsideHooks::MakeBundle(std::string_view root) {
  if (!bundle_.empty()) return {};
  bundle_ = TRY(MakeTempDirectory("/tmp", "slipway-bundle-"));
  return WriteFileAtomically(bundle_ + "/config.json", BundleConfig(spec_, root));
}

Result<> OutsideHooks::Run(HookStage stage, std::string_view status) {
  if (!HasStage(spec_.hooks, stage)) return {};
  TRY(MakeBundle(Cat("/proc/", pid_, "/root")));
  HookState state{.id = id_, .status = status, .pid = pid_, .bundle = bundle_};
  return RunHooks(spec_.hooks, stage, StateJson(state));
}

Result<> OutsideHooks::BeforeRoot(const HookPoint& point) {
  begun_ = true;
  pid_ = point.pid;
  id_ = Cat("slipway-", pid_);
  TRY(MakeBundle(Cat("/proc/", pid_, "/root", point.root)));
  TRY(Run(HookStage::kPrestart, "creating"));
  return Run(HookStage::kCreateRuntime, "creating");
}

void OutsideHooks::Started() {
  if (auto ran = Run(HookStage::kPoststart, "running"); !ran) say_(Cat("warning: ", ran.error().message));
}

void OutsideHooks::Stopped() {
  if (!begun_) return;
  pid_ = 0;
  if (auto ran = Run(HookStage::kPoststop, "stopped"); !ran) say_(Cat("warning: ", ran.error().message));
}

}  // namespace slipway
