// SPDX-License-Identifier: Apache-2.0
// A command's connection to its controller: the channel, and the token that each call carries. No gRPC header
// is needed to hold one.
//
//   Client client = TRY(Client::Connect(TRY(FindContext(option))));
//   v1::Jobs::Stub jobs(client.channel());
//   grpc::ClientContext call;
//   TRY(client.Authorize(call));
#pragma once

#include <future>
#include <memory>
#include <string>

#include "api/context.h"
#include "base/result/result.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace slipway {

// Owned by one thread. Copies share the channel.
class Client {
 public:
  // Begins to connect and, beside it, to fetch the user's token; waits for neither. What is wrong with them,
  // the first call says.
  static Result<Client> Connect(Context context);
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const Context& context() const { return context_; }

  // Adds the user's token, which is fetched anew when it is about to expire.
  Result<> Authorize(grpc::ClientContext& call);
  // The same value, for who makes his own metadata: "Bearer …".
  Result<std::string> Authorization();

 private:
  Context context_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_future<Result<std::string>> first_token_;  // not valid once it was used
  std::string token_;
  long long refresh_ms_ = 0;  // of the wall clock: when token_ is to be replaced
};

}  // namespace slipway
