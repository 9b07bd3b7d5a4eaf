// SPDX-License-Identifier: Apache-2.0
// Whether a credential is for this node and for somebody who may run jobs. The signature says that the
// controller made it; this says that it was made for us. Replay is the marks' business (marks.h).
#pragma once

#include <sys/types.h>

#include "launcher/broker/conf.h"
#include "launcher/spec/credential.h"

namespace slipway {

// Pure. kPermissionDenied says which field is wrong. `own_uid` matters to a rootless broker only.
Result<> JudgeCredential(const LaunchCredential& credential, const BrokerConf& conf, uid_t own_uid);

// What a job's container is held to: the signed digest is its image, and what hooks bind is the node's own
// doing.
ContainerPolicy PolicyForJobs(const BrokerConf& conf);

// By the controller's public keys, read anew each time: rotation needs no restart.
Result<LaunchCredential> VerifyByController(const SignedCredential& credential, const BrokerConf& conf);

}  // namespace slipway
