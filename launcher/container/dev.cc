// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/dev.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/mount.h"

namespace slipway {
namespace {

// The path of the host is resolved from our root, which is still the host's.
Result<> BindFromHost(int dev_fd, const char* name, bool directory) {
  std::string source = Cat("/dev/", name);
  auto tree = OpenTreeClone(AT_FDCWD, source, directory);
  if (!tree) return Failure(std::move(tree).error());
  int made = directory ? ::mkdirat(dev_fd, name, 0755) : ::mknodat(dev_fd, name, S_IFREG | 0644, 0);
  if (made < 0) return ErrnoFail("making the place for", source);
  return AttachMount(tree->get(), dev_fd, name);
}

Result<> MountAt(int dev_fd, const char* name, const char* type, const std::vector<FsParameter>& parameters) {
  UniqueFd mount = TRY(MountNew(type, parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  if (::mkdirat(dev_fd, name, 0755) < 0) return ErrnoFail("mkdir", name);
  return AttachMount(mount.get(), dev_fd, name);
}

}  // namespace

Result<> MakeDev(int target_fd, std::string_view options, Report& report) {
  bool with_pts = options.find("nopts") == std::string_view::npos;
  bool own_shm = options.find("ownshm") != std::string_view::npos;
  UniqueFd dev =
      TRY(MountNew("tmpfs", {{"mode", "0755"}, {"size", "1m"}, {"source", "dev"}}, MOUNT_ATTR_NOSUID));
  TRY(AttachMount(dev.get(), target_fd));
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    TRY_CONTEXT(BindFromHost(dev.get(), name, false), Cat("binding /dev/", name));
  }
  // Shared memory among ranks and steps of the job goes through the node's own.
  auto shm = own_shm ? Result<>(Fail(Code::kNotFound, "")) : BindFromHost(dev.get(), "shm", true);
  if (!shm && !own_shm && shm.error().sys_errno != ENOENT)
    return Failure(std::move(shm).error().Context("binding /dev/shm"));
  if (!shm) TRY_CONTEXT(MountAt(dev.get(), "shm", "tmpfs", {{"mode", "1777"}}), "mounting /dev/shm");
  if (with_pts)
    TRY_CONTEXT(
        MountAt(dev.get(), "pts", "devpts", {{"newinstance", ""}, {"ptmxmode", "0666"}, {"mode", "0620"}}),
        "mounting /dev/pts");
  // Message queues belong to the IPC namespace, which may be one that a later step of the job only joined.
  if (auto queues = MountAt(dev.get(), "mqueue", "mqueue", {});
      !queues && queues.error().code != Code::kPermissionDenied) {
    report.Warn(Cat("warning: no /dev/mqueue: ", queues.error().message));
  }
  constexpr std::pair<const char*, const char*> kLinks[] = {
      {"pts/ptmx", "ptmx"},          {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"},
      {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}};
  for (auto [to, name] : kLinks) {
    if (::symlinkat(to, dev.get(), name) < 0) return ErrnoFail("symlink in /dev", name);
  }
  return SetMountAttributes(dev.get(), MOUNT_ATTR_NOSUID, 0, true);
}

}  // namespace slipway
