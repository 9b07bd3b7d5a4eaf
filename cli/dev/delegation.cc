// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/delegation.h"

#include <unistd.h>

#include "base/os/cgroup.h"
#include "launcher/client/limits.h"
#include "launcher/spec/cgroup_settings.h"

namespace slipway::dev {

Result<> EnterDelegation() {
  std::string scope = Cat(TRY(CgroupMount()), TRY(EnterDelegatedScope(::getpid())));
  TRY(MakeDirectories(scope + "/daemons"));
  TRY(WriteInto(scope + "/daemons/cgroup.procs", "0"));
  EnableControllers(scope, CgroupControllerNames());
  return {};
}

}  // namespace slipway::dev
