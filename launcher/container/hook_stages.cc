// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/hook_stages.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/os/link.h"
#include "base/os/mount.h"
#include "base/os/socket.h"
#include "launcher/container/privilege.h"
#include "launcher/container/seccomp.h"
#include "launcher/hook/run_hook.h"
#include "launcher/hook/state.h"

namespace slipway {
namespace {

// Our number in the PID namespace of the /proc that is still the host's.
pid_t PidOutside() {
  return static_cast<pid_t>(std::strtol(ReadLink("/proc/self").value_or("").c_str(), nullptr, 10));
}

bool RunsOutside(const LaunchSpec& spec) {
  return HasStage(spec.hooks, HookStage::kPrestart) || HasStage(spec.hooks, HookStage::kCreateRuntime) ||
         HasStage(spec.hooks, HookStage::kPoststart) || HasStage(spec.hooks, HookStage::kPoststop);
}

// The images of other steps are attached in this mount namespace until the pivot.
Result<> HideImages(const Birth& birth) {
  if (birth.image_path.empty()) return {};
  UniqueFd cover = TRY(MountNew("tmpfs", {{"mode", "0555"}, {"size", "4k"}},
                                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  UniqueFd folder = TRY(Open(birth.image_path.substr(0, birth.image_path.rfind('/')), O_PATH | O_DIRECTORY));
  return AttachMount(cover.get(), folder.get());
}

Result<std::string> MakeBundle(const LaunchSpec& spec, int scratch_fd) {
  if (::mkdirat(scratch_fd, "bundle", 0755) < 0) return ErrnoFail("mkdir", "the bundle of the hooks");
  UniqueFd config = TRY(OpenAt(scratch_fd, "bundle/config.json", O_WRONLY | O_CREAT | O_EXCL, 0644));
  TRY(WriteAll(config.get(), BundleConfig(spec, Cat(kHookPlace, "/rootfs"))));
  return Cat(kHookPlace, "/bundle");
}

Result<> AwaitHooksOutside(const Birth& birth, pid_t pid, Report& report) {
  TRY(report.Send(InitFrame::kHookPoint, HookPoint{pid, Cat(kHookPlace, "/rootfs")}));
  Message message = TRY_CONTEXT(ReceiveMessage(birth.control_fd), "waiting for the hooks outside");
  auto frame = TRY(SplitFrame<InitFrame>(message.bytes));
  if (frame.kind == InitFrame::kHooksRan) return {};
  if (frame.kind == InitFrame::kSignal)
    return Fail(Code::kCancelled, "ended by a signal while its hooks ran");
  return Fail(Code::kInvalidArgument, "the container's init waits for hooks and got another frame");
}

}  // namespace

bool HasHooksBeforePivot(const LaunchSpec& spec) {
  return RunsOutside(spec) || HasStage(spec.hooks, HookStage::kCreateContainer);
}

std::string HookId() { return Cat("slipway-", PidOutside()); }

Result<> RunHooksBeforePivot(const Birth& birth, const LaunchSpec& spec, int scratch_fd, Report& report) {
  pid_t pid = PidOutside();
  std::string bundle = TRY(MakeBundle(spec, scratch_fd));
  if (RunsOutside(spec)) TRY(AwaitHooksOutside(birth, pid, report));
  if (!HasStage(spec.hooks, HookStage::kCreateContainer)) return {};
  TRY(HideImages(birth));
  std::string state = StateJson({.id = HookId(), .status = "creating", .pid = pid, .bundle = bundle});
  return RunHooks(spec.hooks, HookStage::kCreateContainer, state, [&]() -> Result<> {
    // In a namespace that root made they could take the cover off the images again.
    TRY(KeepPrivilege(birth.image_path.empty() ? birth.rules.capabilities_max : 0));
    return InstallOwnFilters(Confinement::kUnconfined, birth.rules);
  });
}

Result<> RunStartHooks(const LaunchSpec& spec, const std::string& id) {
  if (!HasStage(spec.hooks, HookStage::kStartContainer)) return {};
  std::string state = StateJson({.id = id, .status = "created", .pid = ::getpid(), .bundle = "/"});
  return RunHooks(spec.hooks, HookStage::kStartContainer, state, [&]() -> Result<> {
    if (spec.confinement.filter != Confinement::kGiven) return {};
    return InstallFilter(spec.confinement.bpf);
  });
}

}  // namespace slipway
