// SPDX-License-Identifier: Apache-2.0
// What the services for users have in common: who calls is looked up before anything else, and an error
// becomes the call's status.
#pragma once

#include <grpcpp/grpcpp.h>

#include "api/status.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/services.h"

namespace slipway::scheduler {

// A call that is answered at once: `fill(const Requester&)` fills the reply or says why not.
template <class Fill>
grpc::ServerUnaryReactor* AnswerUser(ServiceContext& context, grpc::CallbackServerContext* call, Fill fill) {
  auto* reactor = call->DefaultReactor();
  auto by = context.authenticator.User(*call);
  Result<> done = by ? fill(*by) : Result<>(Failure(by.error()));
  reactor->Finish(done ? grpc::Status::OK : ToStatus(done.error()));
  return reactor;
}

}  // namespace slipway::scheduler
