// SPDX-License-Identifier: Apache-2.0
// A server with slipwayd's door that answers every submission at once and does nothing else: the floor that
// gRPC, HTTP/2 and TLS set for the real one (submissions.py). Prints its port; ends when its stdin does.
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <cstdio>

#include "api/lock_checks.h"
#include "api/tls.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway {
namespace {

class Answers final : public v1::Jobs::CallbackService {
  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* call, const v1::SubmitRequest*,
                                   v1::SubmitReply*) override {
    auto* reactor = call->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

Result<> Main(const TlsFiles& files) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  builder.SetMaxSendMessageSize(kRpcMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", TRY(MakeServerCredentials(files, ClientCertificate::kOptional)),
                           &port);
  Answers answers;
  builder.RegisterService(&answers);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server || port == 0) return Fail(Code::kUnavailable, "cannot listen on a port of 127.0.0.1");
  std::printf("%d\n", port);
  std::fflush(stdout);
  char byte;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  server->Shutdown(std::chrono::system_clock::now());
  return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: perf_empty_server CA CERT KEY\n");
    return 2;
  }
  slipway::SwitchOffLockChecks();
  auto done = slipway::Main({argv[1], argv[2], argv[3]});
  if (!done) std::fprintf(stderr, "perf_empty_server: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
