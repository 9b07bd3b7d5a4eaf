// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/fuse_overlayfs.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/mount.h"

namespace slipway {
namespace {

constexpr const char* kPlace = "/tmp";  // every host has it; ours to cover in a mount namespace that is ours

// What root of the container may do to the files of others must be possible for the one that does it for him.
constexpr CapabilitySet kForEveryonesFiles = CapabilityBit(CAP_CHOWN) | CapabilityBit(CAP_DAC_OVERRIDE) |
                                             CapabilityBit(CAP_DAC_READ_SEARCH) | CapabilityBit(CAP_FOWNER) |
                                             CapabilityBit(CAP_FSETID) | CapabilityBit(CAP_MKNOD) |
                                             CapabilityBit(CAP_SETFCAP);

Result<std::string> Program() {
  return FindFuseProgram("fuse-overlayfs", "fuse-overlayfs",
                         "lays an ext3 image that is or was written to over another image");
}

std::string NameOf(std::size_t index) { return Cat("lower", index); }

// In the server, before it is one: it resolves its folders by path, and our scratch has none.
Result<> GivePaths(const std::vector<UniqueFd>& trees) {
  if (::unshare(CLONE_NEWNS) < 0) return ErrnoFail("making a mount namespace");
  UniqueFd scratch = TRY(MountNew("tmpfs", {{"mode", "0755"}, {"size", "64k"}}, MOUNT_ATTR_NOSUID));
  {
    UniqueFd place = TRY(Open(kPlace, O_PATH | O_DIRECTORY));
    TRY(AttachMount(scratch.get(), place.get()));
  }
  for (std::size_t i = 0; i < trees.size(); ++i) {
    if (::mkdirat(scratch.get(), NameOf(i).c_str(), 0755) < 0) return ErrnoFail("mkdir", NameOf(i));
    UniqueFd place = TRY(OpenAt(scratch.get(), NameOf(i), O_PATH | O_DIRECTORY));
    TRY(AttachMount(trees[i].get(), place.get()));
  }
  return {};
}

}  // namespace

Result<FuseCommand> FuseLayersCommand(const FuseLayers& layers, int device) {
  FuseCommand command;
  command.program = TRY(Program());
  // Without a cache for writing, a write that the image has no room for says so at once, and one that was
  // done is in the hands of a process that nobody kills. And no access lists: a tree whose server knows of
  // none would refuse every file that is another's.
  std::string options = "writeback=0,noacl,lowerdir=";
  for (std::size_t i = 0; i < layers.lowers.size(); ++i) options += Cat(i == 0 ? "" : ":", layers.lowers[i]);
  if (!layers.upper.empty()) options += Cat(",upperdir=", layers.upper, ",workdir=", layers.work);
  command.argv = {command.program, "-f", "-o", options, Cat("/dev/fd/", device)};
  command.fds = {device};
  command.keeps = layers.everyones ? kForEveryonesFiles : 0;
  return command;
}

Result<UniqueFd> MountFuseLayers(int device, std::uint64_t attributes) {
  return MountNew("fuse",
                  {{"source", "fuse-overlayfs"},
                   {"subtype", "fuse-overlayfs"},
                   {"fd", std::to_string(device)},
                   {"rootmode", "40000"},
                   {"user_id", std::to_string(::geteuid())},
                   {"group_id", std::to_string(::getegid())},
                   {"default_permissions", ""},
                   {"allow_other", ""}},
                  attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

Result<FuseImage> ServeMerged(const std::vector<int>& lowers, bool everyones) {
  std::vector<UniqueFd> trees;
  FuseLayers layers{.everyones = everyones};
  for (int lower : lowers) {
    layers.lowers.push_back(Cat(kPlace, "/", NameOf(trees.size())));
    trees.push_back(TRY(OpenTreeClone(lower, "", true)));
  }
  UniqueFd device = TRY(OpenFuseDevice());
  FuseImage served;
  served.mount = TRY(MountFuseLayers(device.get(), MOUNT_ATTR_RDONLY));
  FuseCommand command = TRY(FuseLayersCommand(layers, device.get()));
  command.before = [&] { return GivePaths(trees); };
  served.server = TRY(StartFuseServer(command));
  return served;
}

bool HasFuseOverlayfs() { return Program().has_value(); }

}  // namespace slipway
