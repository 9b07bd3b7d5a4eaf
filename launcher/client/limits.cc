// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/limits.h"

#include "base/os/process.h"
#include "base/os/program.h"
#include "base/text/text.h"

namespace slipway {
namespace {

Result<std::string> AskForScope(pid_t pid, std::vector<std::string> words) {
  SpawnOptions options;
  options.argv = {TRY(FindCompanion("slipway-scope")), std::to_string(pid)};
  for (std::string& word : words) options.argv.push_back(std::move(word));
  Output output = TRY(RunAndCapture(options));
  constexpr std::string_view kCgroup = "cgroup ", kError = "error ";
  std::string_view line = Trim(output.out);
  if (output.status.wait_status == 0 && line.starts_with(kCgroup))
    return std::string(line.substr(kCgroup.size()));
  if (line.starts_with(kError)) return Fail(Code::kFailedPrecondition, line.substr(kError.size()));
  return Fail(Code::kInternal, "slipway-scope ended with code ", output.status.exit_code());
}

}  // namespace

Result<std::string> EnterScope(const ContainerLimits& limits, pid_t pid) {
  return limits.any() ? AskForScope(pid, LimitWords(limits)) : std::string();
}

Result<std::string> EnterDelegatedScope(pid_t pid) { return AskForScope(pid, {"delegated"}); }

}  // namespace slipway
