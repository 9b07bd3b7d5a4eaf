// SPDX-License-Identifier: Apache-2.0
#include "cli/front/container_edits.h"

#include <dirent.h>
#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/os/process.h"
#include "cli/front/security_options.h"
#include "hooks/edits/folders.h"
#include "hooks/edits/request.h"
#include "launcher/client/container_run.h"

namespace slipway::cli {
namespace {

// A folder that cannot be read may hold some: slipway-edits then says so.
bool HasHooks() {
  bool found = false;
  for (const char* folder : kHookFolderNames) {
    DIR* dir = ::opendir(folder);
    if (dir == nullptr) {
      found = found || (errno != ENOENT && errno != ENOTDIR);
      continue;
    }
    while (dirent* entry = ::readdir(dir))
      found = found || std::string_view(entry->d_name).ends_with(".json");
    ::closedir(dir);
  }
  return found;
}

std::vector<std::uint32_t> OwnGroups() {
  std::vector<std::uint32_t> groups{::getegid()};
  int count = ::getgroups(0, nullptr);
  std::vector<gid_t> more(static_cast<std::size_t>(count < 0 ? 0 : count));
  count = ::getgroups(count, more.data());
  for (int i = 0; i < count; ++i) groups.push_back(more[static_cast<std::size_t>(i)]);
  return groups;
}

Result<EditsAnswer> Ask(const EditsRequest& request) {
  UniqueFd question = TRY(MakeSealedMemfd("edits-request", Encode(request)));
  SpawnOptions options;
  options.argv = {TRY(FindCompanion("slipway-edits"))};
  options.fds = {{0, question.get()}};
  Output output = TRY(RunAndCapture(options));
  if (output.status.wait_status != 0)
    return Fail(Code::kInternal, "slipway-edits ended with code ", output.status.exit_code());
  EditsAnswer answer = TRY(Decode<EditsAnswer>(output.out, "the answer of slipway-edits"));
  if (answer.code != 0) return Fail(static_cast<Code>(answer.code), answer.message);
  return answer;
}

}  // namespace

std::vector<Option> EditsOptionList() {
  return {{.name = "device",
           .type = Option::kList,
           .value_name = "VENDOR/CLASS=NAME",
           .help = "a device of this node by its CDI name (\"all\" for every one of its kind)",
           .variables = {"DEVICE"}}};
}

Result<> AddEdits(const Parsed& parsed, LaunchSpec& spec,
                  const std::function<void(const std::string&)>& say) {
  Security security = TRY(SecurityOf(parsed, spec.confinement.capabilities));
  spec.confinement = security.confinement;
  EditsRequest request{.seccomp_file = security.seccomp_file,
                       .capabilities = spec.confinement.capabilities,
                       .devices = parsed.List("device"),
                       .hooks = HasHooks(),
                       .command = spec.argv.empty() ? "" : spec.argv[0],
                       .has_bind_mounts = !parsed.List("bind").empty() || !parsed.List("mount").empty()};
  if (request.seccomp_file.empty() && request.devices.empty() && !request.hooks) return {};
  EditsAnswer answer = TRY(Ask(request));
  for (const std::string& warning : answer.warnings) say(Cat("warning: ", warning));
  TRY(CheckGroups(answer.edits, OwnGroups()));
  spec.confinement.bpf = std::move(answer.seccomp);
  ApplyEdits(answer.edits, spec);
  return {};
}

}  // namespace slipway::cli
