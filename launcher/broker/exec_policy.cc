// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/exec_policy.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace slipway {

Result<> JudgeExec(const BrokerConf& conf, ExecWay way, const UserIds& who, bool store_image) {
  constexpr std::uint32_t kOverflowId = 65534;
  if (way == ExecWay::kSetuid && !conf.allow_setuid)
    return Fail(Code::kPermissionDenied, "starter.conf says allow_setuid = no");
  if (way == ExecWay::kBrokered && !conf.allow_exec)
    return Fail(Code::kPermissionDenied, "starter.conf says allow_exec = no");
  for (std::uint32_t id : {who.uid, who.gid}) {
    if (id == 0) return Fail(Code::kPermissionDenied, "it is not for root, nor for root's group");
    if (id == kOverflowId || id == kNoId)
      return Fail(Code::kPermissionDenied, id, " is no user's or group's id");
  }
  const auto& kinds = conf.container.image_kinds;
  if (store_image && std::find(kinds.begin(), kinds.end(), "store") == kinds.end())
    return Fail(Code::kPermissionDenied, "starter.conf has no 'store' in allow_images");
  return {};
}

Result<> JudgeImport(const BrokerConf& conf, ExecWay way, const UserIds& who) {
  TRY(JudgeExec(conf, way, who, true));
  const ContainerPolicy& policy = conf.container;
  if (!conf.allow_import) return Fail(Code::kPermissionDenied, "starter.conf says allow_import = no");
  if (!policy.limit_owners.empty() || !policy.limit_groups.empty() || !policy.limit_paths.empty())
    return Fail(Code::kPermissionDenied,
                "starter.conf limits whose images are run (limit_…): only root puts images into the store");
  return {};
}

Result<> CheckReadable(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  struct stat info;
  if (flags < 0 || ::fstat(fd, &info) < 0) return ErrnoFail("the image's descriptor");
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY || !S_ISREG(info.st_mode))
    return Fail(Code::kPermissionDenied, "the image must be a regular file that you have opened for reading");
  return {};
}

}  // namespace slipway
