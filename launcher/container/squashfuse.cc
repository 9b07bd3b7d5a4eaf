// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/squashfuse.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include "base/os/mount.h"
#include "base/os/process.h"

namespace slipway {
namespace {

struct Channel {
  UniqueFd fuse, mount;
};

Result<Channel> MakeChannel(bool everyones) {
  Channel channel;
  channel.fuse = TRY(OpenFuseDevice());
  std::vector<FsParameter> parameters = {{"source", "squashfuse"},
                                         {"subtype", "squashfuse"},
                                         {"fd", std::to_string(channel.fuse.get())},
                                         {"rootmode", "40000"},
                                         {"user_id", std::to_string(::geteuid())},
                                         {"group_id", std::to_string(::getegid())},
                                         {"default_permissions", ""}};
  if (everyones) parameters.push_back({"allow_other", ""});
  channel.mount = TRY(MountNew("fuse", parameters, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  return channel;
}

Result<> WriteProc(const char* path, std::string_view text) {
  UniqueFd fd = TRY(Open(path, O_WRONLY));
  TRY_CONTEXT(WriteAll(fd.get(), text), path);
  return {};
}

// What the helper below says to its parent: two descriptors of the table that they share, or an error.
struct ChannelNumbers {
  int fuse = -1, mount = -1, sys_errno = 0;
};

[[noreturn]] void MakeChannelAsRoot(uid_t uid, gid_t gid, int answer_fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // or its own maps are not its own to write
  ChannelNumbers numbers;
  auto made = [&]() -> Result<Channel> {
    TRY(WriteProc("/proc/self/uid_map", Cat("0 ", uid, " 1")));
    TRY(WriteProc("/proc/self/gid_map", Cat("0 ", gid, " 1")));
    return MakeChannel(false);
  }();
  if (made) {
    numbers = {made->fuse.release(), made->mount.release(), 0};
  } else {
    numbers.sys_errno = made.error().sys_errno != 0 ? made.error().sys_errno : EIO;
  }
  bool said = ::write(answer_fd, &numbers, sizeof numbers) == sizeof numbers;
  ::_exit(said ? 0 : 1);
}

// FUSE takes the ids of its server through the user namespace of whoever mounts it.
Result<Channel> MakeChannelOwnedByUser() {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  PipeEnds answer = TRY(MakePipe());
  Process helper = TRY_CONTEXT(Clone3({.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_FILES}),
                               "making a user namespace for the image");
  if (!helper) MakeChannelAsRoot(uid, gid, answer.write.get());
  ExitStatus ended = TRY(helper.Wait());
  ChannelNumbers numbers;
  if (ended.wait_status != 0 || ::read(answer.read.get(), &numbers, sizeof numbers) != sizeof numbers)
    return Fail(Code::kInternal, "the helper that mounts the image ended without a word");
  if (numbers.sys_errno != 0)
    return Failure(ErrnoErrorOf(numbers.sys_errno, "mounting the image in a user namespace of its own"));
  return Channel{UniqueFd(numbers.fuse), UniqueFd(numbers.mount)};
}

}  // namespace

Result<FuseImage> ServeSquashfs(const ImageSource& image, int image_fd, ImageOwner owner) {
  FuseCommand command;
  command.program = OwnFuseProgram("slipway-squashfuse");
  bool ours = !command.program.empty();
  if (!ours)
    command.program =
        TRY(FindFuseProgram("squashfuse_ll", "squashfuse", "shows a SIF or a squashfs without privilege"));
  Channel channel = TRY(owner == ImageOwner::kUser ? MakeChannelOwnedByUser()
                                                   : MakeChannel(owner == ImageOwner::kEveryones));
  std::string file = Cat("/proc/self/fd/", image_fd), connection = Cat("/dev/fd/", channel.fuse.get());
  if (ours) {
    command.argv = {command.program, std::to_string(image.offset), file, connection};
  } else {
    command.argv = {command.program, "-f", "-o", Cat("offset=", image.offset), file, connection};
  }
  command.fds = {image_fd, channel.fuse.get()};
  FuseImage served;
  served.mount = std::move(channel.mount);
  served.server = TRY(StartFuseServer(command));
  served.server.program = "squashfuse";
  return served;
}

}  // namespace slipway
