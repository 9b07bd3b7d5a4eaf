// SPDX-License-Identifier: Apache-2.0
// slipway-edits: reads the files of JSON and YAML that one container needs (hooks/edits/request.h), as its
// user.
#include <cstdio>

#include "base/os/fd.h"
#include "cli/edits/gpus.h"
#include "hooks/cdi/devices.h"
#include "hooks/edits/request.h"
#include "hooks/oci/hooks_d.h"
#include "launcher/seccomp/profile.h"

namespace {

using namespace slipway;

Result<> Seccomp(const EditsRequest& request, EditsAnswer& answer) {
  if (request.seccomp_file.empty()) return {};
  std::string text = TRY(ReadFile(request.seccomp_file, kSeccompJsonBytesMax));
  ParsedProfile parsed = TRY(ParseSeccompJson(text, ThisNode(request.capabilities)));
  for (const std::string& warning : parsed.warnings)
    answer.warnings.push_back(Cat(request.seccomp_file, ": ", warning));
  answer.seccomp = TRY(CompileSeccomp(parsed.profile));
  return {};
}

Result<> Fill(EditsRequest request, EditsAnswer& answer) {
  TRY_CONTEXT(Seccomp(request, answer), Cat("--security seccomp:", request.seccomp_file));
  TRY(AddGpus(request, kCdiFolders, answer));
  CdiAnswer devices = TRY_CONTEXT(ResolveDevices(request.devices), "--device");
  TRY(MergeEdits(answer.edits, devices.edits));
  for (std::string& warning : devices.warnings) answer.warnings.push_back(std::move(warning));
  if (!request.hooks) return {};
  HookOccasion occasion{.command = request.command, .has_bind_mounts = request.has_bind_mounts};
  ContainerEdits hooks{.hooks = TRY(HooksFor(occasion))};
  return MergeEdits(answer.edits, hooks);
}

Result<EditsAnswer> Answer() {
  std::string bytes = TRY(ReadAll(STDIN_FILENO, kEditsBytesMax));
  EditsRequest request = TRY(Decode<EditsRequest>(bytes, "request"));
  if (request.version != 1) return Fail(Code::kInvalidArgument, "request of version ", request.version);
  EditsAnswer answer;
  if (auto filled = Fill(std::move(request), answer); !filled) {
    answer.code = static_cast<std::int32_t>(filled.error().code);
    answer.message = filled.error().message;
  }
  return answer;
}

}  // namespace

int main(int argc, char**) {
  if (argc != 1 || ::isatty(STDIN_FILENO)) {
    std::fprintf(stderr, "slipway-edits: started by `slipway exec`, not by hand\n");
    return 125;
  }
  auto answer = Answer();
  auto written =
      answer ? WriteAll(STDOUT_FILENO, Encode(*answer)) : Result<>(Failure(std::move(answer).error()));
  if (written) return 0;
  std::fprintf(stderr, "slipway-edits: %s\n", written.error().message.c_str());
  return 125;
}
