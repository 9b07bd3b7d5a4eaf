// SPDX-License-Identifier: Apache-2.0
// No port speaks plain text. The cluster's CA (api/pki.h) signs the controller's and each node's certificate;
// names in them are made up ("controller.slipway", "n1.node.slipway"), and a client says which one it
// expects, so that no address need ever be in a certificate.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace grpc {
class AuthContext;
class Channel;
class ServerCredentials;
}  // namespace grpc

namespace slipway {

inline constexpr std::string_view kControllerTlsName = "controller.slipway";
std::string NodeTlsName(std::string_view node);  // "n1" → "n1.node.slipway"

// PEM files. For a client without a certificate of its own, cert and key are empty.
struct TlsFiles {
  std::string ca, cert, key;
};

enum class ClientCertificate {
  kOptional,  // verified when there is one: the controller's port (users have none, agents have)
  kRequired,  // agents among themselves
};
Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const TlsFiles& files,
                                                                       ClientCertificate clients);

// Does not wait for the connection; gRPC connects at the first call and again after a loss. kInvalidArgument
// or kNotFound when a file cannot be used. `target` is "host:port", `peer_name` one of the names above.
Result<std::shared_ptr<grpc::Channel>> DialTls(const std::string& target, const TlsFiles& files,
                                               std::string_view peer_name);
// "unix:/path": a socket of this host; who the caller is comes from his token.
std::shared_ptr<grpc::Channel> DialUnix(const std::string& target);

// The node whose certificate the caller of an RPC holds; kUnauthenticated when he has none, or not a node's.
Result<std::string> PeerNode(const grpc::AuthContext& peer);

// Bytes of one gRPC message, both ways, everywhere.
inline constexpr int kRpcMessageBytesMax = 16 << 20;

}  // namespace slipway
