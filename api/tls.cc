// SPDX-License-Identifier: Apache-2.0
#include "api/tls.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr std::string_view kNodeSuffix = ".node.slipway";

Result<std::string> ReadPem(const std::string& path, std::string_view marker) {
  std::string text = TRY(ReadFile(path, 1 << 20));
  if (text.find(marker) == std::string::npos)
    return Fail(Code::kInvalidArgument, path, ": no PEM ", marker, " in it");
  return text;
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  arguments.SetMaxSendMessageSize(kRpcMessageBytesMax);
  // A daemon that restarts is back within a second; gRPC's own first wait after a loss would be longer.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // In spite of its name: how long one attempt may take, TLS handshake on a busy host included.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Channels of one process share connections by address otherwise, across names and credentials of tests and
  // agents.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // No look-ups in DNS for balancer records and service configurations.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  return arguments;
}

}  // namespace

std::string NodeTlsName(std::string_view node) { return Cat(node, kNodeSuffix); }

Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const TlsFiles& files,
                                                                       ClientCertificate clients) {
  grpc::SslServerCredentialsOptions options(clients == ClientCertificate::kRequired
                                                ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = TRY(ReadPem(files.ca, "CERTIFICATE"));
  std::string key = TRY(ReadPem(files.key, "PRIVATE KEY"));
  std::string chain = TRY(ReadPem(files.cert, "CERTIFICATE"));
  options.pem_key_cert_pairs.push_back({std::move(key), std::move(chain)});
  return grpc::SslServerCredentials(options);
}

Result<std::shared_ptr<grpc::Channel>> DialTls(const std::string& target, const TlsFiles& files,
                                               std::string_view peer_name) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = TRY(ReadPem(files.ca, "CERTIFICATE"));
  if (!files.cert.empty()) {
    options.pem_cert_chain = TRY(ReadPem(files.cert, "CERTIFICATE"));
    options.pem_private_key = TRY(ReadPem(files.key, "PRIVATE KEY"));
  }
  auto arguments = Arguments();
  arguments.SetSslTargetNameOverride(std::string(peer_name));
  return grpc::CreateCustomChannel(target, grpc::SslCredentials(options), arguments);
}

std::shared_ptr<grpc::Channel> DialUnix(const std::string& target) {
  auto arguments = Arguments();
  // No pings that measure how much is on its way between two processes of one host: each wakes the other.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

Result<std::string> PeerNode(const grpc::AuthContext& peer) {
  if (peer.IsPeerAuthenticated()) {
    for (const grpc::string_ref& name : peer.FindPropertyValues("x509_subject_alternative_name")) {
      std::string_view text(name.data(), name.size());
      if (text.size() > kNodeSuffix.size() && text.ends_with(kNodeSuffix)) {
        return std::string(text.substr(0, text.size() - kNodeSuffix.size()));
      }
    }
    return Fail(Code::kUnauthenticated, "the certificate is not a node's");
  }
  return Fail(Code::kUnauthenticated, "this call is for nodes only: it needs a node's certificate");
}

}  // namespace slipway
