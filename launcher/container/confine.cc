// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/confine.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "base/os/process.h"
#include "base/wire/wire.h"
#include "launcher/container/label.h"
#include "launcher/container/privilege.h"
#include "launcher/container/seccomp.h"

namespace slipway {
namespace {

constexpr std::size_t kEnvironmentBytesMax = 32 << 20;

struct Evaluated {
  std::int32_t code = 0;  // of the error; 0: none
  std::string message;
  Environment env;
};
void Fields(auto& archive, IsA<Evaluated> auto& v) { archive(v.code, v.message, v.env); }

Evaluated Evaluate(const Confinement& wanted, const Environment& env, const ImagePart& image) {
  auto evaluated = [&]() -> Result<Environment> {
    TRY(InstallFilter(wanted.bpf));
    return ContainerEnvironment(env, image);
  }();
  if (evaluated) return {.env = std::move(*evaluated)};
  return {.code = static_cast<std::int32_t>(evaluated.error().code), .message = evaluated.error().message};
}

}  // namespace

Result<Confining> Confining::Prepare(const Confinement& wanted, const BirthRules& rules) {
  Confining confining(wanted, rules);
  confining.keep_ = TRY(CapabilitiesAllowed(wanted, rules));
  if (WantsLabel(wanted)) confining.proc_ = TRY(Open("/proc", O_PATH | O_DIRECTORY));
  return confining;
}

Result<> Confining::Apply() {
  TRY(KeepPrivilege(keep_));
  if (WantsLabel(*wanted_)) TRY(TakeLabelAtExec(proc_.get(), *wanted_));
  proc_.reset();
  return InstallOwnFilters(wanted_->filter, rules_);
}

Result<Environment> ConfinedEnvironment(const Confinement& wanted, const Environment& env,
                                        const ImagePart& image) {
  if (wanted.filter != Confinement::kGiven) return ContainerEnvironment(env, image);
  PipeEnds answer = TRY(MakePipe());
  Process child = TRY(Clone3({}));
  if (!child) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto written = WriteAll(answer.write.get(), Encode(Evaluate(wanted, env, image)));
    ::_exit(written ? 0 : 1);
  }
  answer.write.reset();
  auto bytes = ReadAll(answer.read.get(), kEnvironmentBytesMax);
  auto status = TRY(child.Wait());
  if (!bytes || status.wait_status != 0)
    return Fail(Code::kFailedPrecondition,
                "the image's environment cannot be evaluated under the seccomp profile that was given");
  Evaluated evaluated = TRY(Decode<Evaluated>(*bytes, "environment"));
  if (evaluated.code != 0) return Fail(static_cast<Code>(evaluated.code), evaluated.message);
  return std::move(evaluated.env);
}

}  // namespace slipway
