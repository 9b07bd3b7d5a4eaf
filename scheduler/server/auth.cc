// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/auth.h"

#include <grpcpp/server_context.h>

#include <chrono>

#include "api/tls.h"
#include "scheduler/server/users.h"

namespace slipway::scheduler {

Authenticator::Authenticator(std::string cluster_id, VerifyingKey key, const std::vector<std::string>& admins,
                             std::vector<std::string>& unknown)
    : verifier_(std::move(cluster_id), {std::move(key)}), admins_{0} {
  for (const std::string& name : admins) {
    auto uid = UidOfName(name);
    uid ? static_cast<void>(admins_.insert(*uid)) : unknown.push_back(name);
  }
}

Result<Requester> Authenticator::User(const grpc::CallbackServerContext& call) {
  auto at = call.client_metadata().find(kAuthorizationKey);
  if (at == call.client_metadata().end()) return Fail(Code::kUnauthenticated, "this call needs a token");
  std::string_view text(at->second.data(), at->second.size());
  constexpr std::string_view kBearer = "Bearer ";
  if (!text.starts_with(kBearer)) return Fail(Code::kUnauthenticated, "authorization: not a bearer token");
  auto now = std::chrono::system_clock::now().time_since_epoch();
  auto proven = TRY(verifier_.Verify(text.substr(kBearer.size()),
                                     std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
  return Requester{proven.uid, proven.issuer == kControllerIssuer && admins_.contains(proven.uid)};
}

Result<std::string> Authenticator::Node(const grpc::CallbackServerContext& call) const {
  return PeerNode(*call.auth_context());
}

}  // namespace slipway::scheduler
