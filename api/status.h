// SPDX-License-Identifier: Apache-2.0
// Our errors cross the network as gRPC statuses and come back as the same errors: the codes are the same
// numbers, the message is the one line a person reads. What gRPC itself says when a connection fails is a
// paragraph for its own developers; FromStatus turns the common cases (nobody listens, a foreign CA, a
// certificate that is refused) into one.
#pragma once

#include <string_view>

#include "base/result/result.h"

namespace grpc {
class Status;
}

namespace slipway {

grpc::Status ToStatus(const Error& error);
// `status` must not be OK. `peer` is the address that was called, for messages about the connection.
Error FromStatus(const grpc::Status& status, std::string_view peer = "the controller");
// {} for OK.
Result<> ResultOf(const grpc::Status& status, std::string_view peer = "the controller");

}  // namespace slipway
