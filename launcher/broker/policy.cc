// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/policy.h"

#include <unistd.h>

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

Result<LaunchCredential> VerifyByController(const SignedCredential& credential, const BrokerConf& conf) {
  std::string text = TRY(ReadTrustedFile(conf.controller_key, ::geteuid()));
  std::vector<VerifyingKey> keys = TRY_CONTEXT(VerifyingKey::AllFromPem(text), conf.controller_key);
  if (keys.empty() || keys.size() > 2)
    return Fail(Code::kInvalidArgument, conf.controller_key, ": holds ", keys.size(),
                " public keys, one or two are wanted");
  return VerifyCredential(credential, keys);
}

}  // namespace slipway
