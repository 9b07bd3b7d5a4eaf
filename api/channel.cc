// SPDX-License-Identifier: Apache-2.0
#include "api/channel.h"

#include <grpc/support/log.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "api/tls.h"
#include "api/token.h"
#include "api/token_socket.h"

namespace slipway {
namespace {

long long NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// By a thread of its own that nobody has to wait for.
std::shared_future<Result<std::string>> FetchBeside(const std::string& token_socket) {
  std::promise<Result<std::string>> promise;
  auto token = promise.get_future().share();
  std::thread([token_socket, promise = std::move(promise)]() mutable {
    promise.set_value(FetchToken(token_socket));
  }).detach();
  return token;
}

}  // namespace

Result<Client> Client::Connect(Context context) {
  // gRPC writes lines of its own to stderr; a command says what failed once, in its own words.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  Client client;
  if (context.controller.starts_with("unix:")) {
    client.channel_ = DialUnix(context.controller);
  } else {
    client.channel_ = TRY(DialTls(context.controller, {.ca = context.ca}, kControllerTlsName));
  }
  client.first_token_ = FetchBeside(context.token_socket);
  client.channel_->GetState(true);  // TLS takes its time to begin
  client.context_ = std::move(context);
  return client;
}

Result<std::string> Client::Authorization() {
  if (token_.empty() || NowMs() >= refresh_ms_) {
    auto first = std::exchange(first_token_, {});
    token_ = TRY(first.valid() ? first.get() : FetchToken(context_.token_socket));
    UserToken token = TRY(PeekToken(token_));
    // By half of its life, on our clock: the controller's may be minutes away from ours.
    refresh_ms_ = NowMs() + (token.expires_ms - token.issued_ms) / 2;
  }
  return "Bearer " + token_;
}

Result<> Client::Authorize(grpc::ClientContext& call) {
  call.AddMetadata(kAuthorizationKey, TRY(Authorization()));
  return {};
}

}  // namespace slipway
