// SPDX-License-Identifier: Apache-2.0
// The process that SIGKILL does not end: a FUSE server one of whose threads waits for the answer of another.
#pragma once

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "base/os/mount.h"

namespace slipway {

// In a process that may mount: never returns. `asked` is called once a question (of a thread of our own, or
// of whoever comes) has been taken from the kernel; it is never answered.
enum class Asker { kOurselves, kOthers };
[[noreturn]] inline void AnswerNobody(const std::string& mount_point, Asker asker,
                                      const std::function<void()>& asked) {
  UniqueFd fuse = Open("/dev/fuse", O_RDWR).value();
  std::vector<FsParameter> parameters = {{"source", "deaf"},
                                         {"fd", std::to_string(fuse.get())},
                                         {"rootmode", "40000"},
                                         {"user_id", std::to_string(::geteuid())},
                                         {"group_id", std::to_string(::getegid())}};
  if (asker == Asker::kOthers) parameters.push_back({"allow_other", ""});
  auto mount = MountNew("fuse", parameters, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (!mount || !AttachMount(mount->get(), Open(mount_point, O_PATH).value().get())) ::_exit(3);
  if (asker == Asker::kOurselves)
    std::thread([&] { ::access((mount_point + "/name").c_str(), F_OK); }).detach();
  alignas(8) static char request[1 << 18];
  for (;;) {
    if (::read(fuse.get(), request, sizeof request) < static_cast<ssize_t>(sizeof(fuse_in_header)))
      ::_exit(4);
    fuse_in_header header;
    std::memcpy(&header, request, sizeof header);
    if (header.opcode != FUSE_INIT) break;
    struct {
      fuse_out_header header;
      fuse_init_out init;
    } answer{};
    answer.header = {sizeof answer, 0, header.unique};
    answer.init.major = FUSE_KERNEL_VERSION;
    answer.init.minor = 31;
    answer.init.max_write = 4096;
    if (::write(fuse.get(), &answer, sizeof answer) != sizeof answer) ::_exit(5);
  }
  asked();
  for (;;) ::pause();
}

}  // namespace slipway
