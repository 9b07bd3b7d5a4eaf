// SPDX-License-Identifier: Apache-2.0
// Nothing starts on a node that the controller did not sign. The credential says who runs, on what image,
// with what limits, on which node, as which step of which attempt under which leader; the broker verifies it
// against root's own key file before it does anything for the agent. What is run (command, environment,
// binds) is the user's side and is not in here: it runs with his rights only.
//
// Signed bytes: "slipway launch credential 1\0" + body; body: the fields below in wire.h's encoding. A
// credential is for one node; a job on N nodes has N.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/crypto/crypto.h"
#include "base/wire/wire.h"
#include "launcher/spec/step_id.h"

namespace slipway {

struct StepLimits {
  std::uint32_t cores = 0;             // 0: none
  std::uint64_t memory_bytes_max = 0;  // 0: none
  std::uint32_t pids_max = 0;          // 0: none
  std::uint32_t time_limit_s = 0;      // 0: none; the broker kills a little after it, should stepd not have
};
void Fields(auto& archive, IsA<StepLimits> auto& v) {
  archive(v.cores, v.memory_bytes_max, v.pids_max, v.time_limit_s);
}

inline constexpr std::uint32_t kCredentialVersion = 2;
struct LaunchCredential {
  std::uint32_t version = kCredentialVersion;
  std::string cluster;      // id of the cluster, as `slipway init` made it
  std::string node;         // the node this is for
  std::uint64_t epoch = 0;  // of the leader; a broker refuses one lower than the highest it has seen
  StepId step;              // refused when it has been used before on this node
  std::uint64_t oldest_live_job =
      0;  // jobs below it have ended for good: refused, and their marks may be dropped
  std::uint32_t uid = 0, gid = 0;     // never 0
  std::vector<std::uint32_t> groups;  // supplementary, the primary one included
  std::string user;
  std::string image_digest;    // of the file the kernel (rootless: squashfuse) will mount
  bool changes_image = false;  // a writable layer lies over it: root's files in it are shown as the user's
  StepLimits limits;
};
void Fields(auto& archive, IsA<LaunchCredential> auto& v) {
  archive(v.version, v.cluster, v.node, v.epoch, v.step, v.oldest_live_job, v.uid, v.gid, v.groups, v.user,
          v.image_digest, v.changes_image, v.limits);
}

struct SignedCredential {
  std::string body;
  std::string signature;  // 64 bytes, Ed25519
};
void Fields(auto& archive, IsA<SignedCredential> auto& v) { archive(v.body, v.signature); }

SignedCredential SignCredential(const LaunchCredential& credential, const SigningKey& key);
// kPermissionDenied when no key of `keys` (two while one is rotated) made the signature; kInvalidArgument
// when the signed body is not a credential of a version we know. Says nothing about node, epoch or replay.
Result<LaunchCredential> VerifyCredential(const SignedCredential& credential,
                                          std::span<const VerifyingKey> keys);

}  // namespace slipway
