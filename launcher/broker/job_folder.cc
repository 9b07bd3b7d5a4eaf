// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/job_folder.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/os/mount.h"

namespace slipway {

Result<> MakeJobFolder(const BrokerConf& conf, const StepId& job, const UserIds& owner, const JobRoom& room) {
  std::string folder = JobFolder(conf.run_dir, job);
  auto fill = [&](const char* name, std::uint64_t bytes) -> Result<> {
    std::string path = folder + name;
    if (bytes == 0 || ::mkdir(path.c_str(), 0700) < 0)
      return bytes == 0 || errno == EEXIST ? Result<>() : ErrnoFail("mkdir", path);
    UniqueFd made = TRY(MountNew(
        "tmpfs", {{"mode", "0700"}, {"size", Cat(bytes)}, {"uid", Cat(owner.uid)}, {"gid", Cat(owner.gid)}},
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    return AttachMount(made.get(), TRY(Open(path, O_PATH | O_DIRECTORY)).get());
  };
  auto filled = [&]() -> Result<> {
    TRY(MakeDirectories(folder, 0711));
    TRY(fill(kJobTmp, room.tmp_bytes));
    return fill(kJobShm, room.shm_bytes);
  }();
  if (!filled) RemoveJobFolder(conf, job);
  return filled;
}

void RemoveJobFolder(const BrokerConf& conf, const StepId& job) {
  std::string folder = JobFolder(conf.run_dir, job);
  for (const char* name : {kJobTmp, kJobShm, ""}) {
    ::umount2((folder + name).c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    ::rmdir((folder + name).c_str());
  }
}

}  // namespace slipway
