// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/policy.h"

#include <sys/stat.h>

namespace slipway {

Result<> JudgeCredential(const LaunchCredential& credential, const BrokerConf& conf, uid_t own_uid) {
  constexpr std::uint32_t kOverflowId = 65534;
  auto deny = [](auto... pieces) { return Fail(Code::kPermissionDenied, "launch credential: ", pieces...); };
  if (credential.cluster != conf.cluster)
    return deny("for cluster '", credential.cluster.substr(0, 64), "', not ours");
  if (credential.node != conf.node)
    return deny("for node '", credential.node.substr(0, 64), "', this is '", conf.node, "'");
  if (credential.step.job == 0) return deny("there is no job 0");
  if (credential.uid == 0 || credential.gid == 0) return deny("jobs of root are refused");
  for (std::uint32_t id : {credential.uid, credential.gid}) {
    if (id == kOverflowId || id == kNoId) return deny(id, " is no user's or group's id");
  }
  if (conf.rootless && credential.uid != own_uid)
    return deny("for user ", credential.uid, ", but this rootless node runs jobs of user ", own_uid, " only");
  if (credential.groups.size() > 65536) return deny(credential.groups.size(), " groups");
  if (!IsDigest(credential.image_digest))
    return Fail(Code::kInvalidArgument, "launch credential: malformed image digest");
  return {};
}

ContainerPolicy PolicyForJobs(const BrokerConf& conf) {
  ContainerPolicy policy = conf.container;
  policy.user_binds = true;
  policy.signed_by.clear();
  policy.image_kinds.emplace_back("store");
  return policy;
}

Result<> ControllerKeys::ReadIfChanged() {
  struct stat info;
  if (::stat(path_.c_str(), &info) < 0) return ErrnoFail("stat", path_);
  bool same = info.st_mtim.tv_sec == changed_.tv_sec && info.st_mtim.tv_nsec == changed_.tv_nsec &&
              info.st_ino == inode_;
  if (same && !keys_.empty()) return {};
  std::string text = TRY(ReadTrustedFile(path_, owner_));
  std::vector<VerifyingKey> keys = TRY_CONTEXT(VerifyingKey::AllFromPem(text), path_);
  if (keys.empty() || keys.size() > 2)
    return Fail(Code::kInvalidArgument, path_, ": holds ", keys.size(),
                " public keys, one or two are wanted");
  keys_ = std::move(keys);
  changed_ = info.st_mtim;
  inode_ = info.st_ino;
  return {};
}

Result<LaunchCredential> ControllerKeys::Verify(const SignedCredential& credential) {
  TRY(ReadIfChanged());
  return VerifyCredential(credential, keys_);
}

}  // namespace slipway
