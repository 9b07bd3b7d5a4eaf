// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/job_folder.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include "base/os/mount.h"

namespace slipway {

Result<> MakeJobFolder(const BrokerConf& conf, const StepId& job, const UserIds& owner, const JobRoom& room) {
  for (auto [name, bytes] : {std::pair(kJobTmp, room.tmp_bytes), {kJobShm, room.shm_bytes}}) {
    std::string path = JobFolder(conf.run_dir, job) + name;
    if (bytes == 0 || ::access(path.c_str(), F_OK) == 0) continue;
    TRY(MakeDirectories(path, 0711));
    auto made = MountTmpfs(
        path, {{"mode", "0700"}, {"size", Cat(bytes)}, {"uid", Cat(owner.uid)}, {"gid", Cat(owner.gid)}});
    if (!made) return ::rmdir(path.c_str()), made;
  }
  return {};
}

void RemoveJobFolder(const BrokerConf& conf, const StepId& job) {
  std::string folder = JobFolder(conf.run_dir, job);
  for (const char* name : {kJobTmp, kJobShm, ""}) {
    ::umount2((folder + name).c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    ::rmdir((folder + name).c_str());
  }
}

}  // namespace slipway
