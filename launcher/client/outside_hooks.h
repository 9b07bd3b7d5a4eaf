// SPDX-License-Identifier: Apache-2.0
// The hooks whose place is outside: in the namespaces of whoever started the container, with his rights.
#pragma once

#include <functional>
#include <string>

#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

class OutsideHooks {
 public:
  // Both borrowed. `say` gets the failures that come too late to stop anything, one line each.
  OutsideHooks(const LaunchSpec& spec, const std::function<void(const std::string&)>& say)
      : spec_(spec), say_(say) {}
  OutsideHooks(const OutsideHooks&) = delete;
  OutsideHooks& operator=(const OutsideHooks&) = delete;
  ~OutsideHooks();

  // prestart, then createRuntime: an error means that the container must not be.
  Result<> BeforeRoot(const HookPoint& point);
  void Started();  // poststart
  void Stopped();  // poststop, if it was announced

 private:
  Result<> Run(HookStage stage, std::string_view status);
  Result<> MakeBundle(std::string_view root);

  const LaunchSpec& spec_;
  const std::function<void(const std::string&)>& say_;
  std::string bundle_, id_;
  pid_t pid_ = 0;
  bool begun_ = false;
};

}  // namespace slipway
