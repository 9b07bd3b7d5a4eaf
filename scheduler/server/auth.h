// SPDX-License-Identifier: Apache-2.0
// Who calls: users by token, on any port; nodes by the certificate of their connection. Never by a field of a
// message. Any thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "api/token.h"
#include "base/result/result.h"
#include "scheduler/core/messages.h"

namespace grpc {
class CallbackServerContext;
}

namespace slipway::scheduler {

class Authenticator {
 public:
  // Names without an account are reported by `unknown`.
  Authenticator(std::string cluster_id, VerifyingKey key, const std::vector<std::string>& admins,
                std::vector<std::string>& unknown);

  // kUnauthenticated with one line. A token that a node vouched for is never an administrator's: a node that
  // was taken over could make one for every user of its jobs.
  Result<Requester> User(const grpc::CallbackServerContext& call);
  Result<std::string> Node(const grpc::CallbackServerContext& call) const;

 private:
  TokenVerifier verifier_;
  std::set<std::uint32_t> admins_;
};

}  // namespace slipway::scheduler
