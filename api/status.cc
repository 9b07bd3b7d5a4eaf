// SPDX-License-Identifier: Apache-2.0
#include "api/status.h"

#include <grpcpp/support/status.h>

namespace slipway {

grpc::Status ToStatus(const Error& error) {
  return {static_cast<grpc::StatusCode>(error.code), error.message};
}

Error FromStatus(const grpc::Status& status, std::string_view peer) {
  const std::string& said = status.error_message();
  auto mentions = [&](std::string_view words) { return said.find(words) != std::string::npos; };
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    if (mentions("CERTIFICATE_VERIFY_FAILED") || mentions("certificate verify failed")) {
      return {Code::kUnauthenticated, 0,
              Cat(peer,
                  ": its certificate was not signed by the CA that is configured here (another cluster's, or "
                  "a wrong `ca` file)")};
    }
    if (mentions("Peer name") || mentions("not in peer certificate")) {
      return {Code::kUnauthenticated, 0, Cat(peer, ": its certificate is for another name")};
    }
    if (mentions("Connection refused") || mentions("No such file or directory")) {
      return {Code::kUnavailable, 0, Cat(peer, ": nobody listens there; is the daemon running?")};
    }
    // The TLS server drops a client whose certificate it refuses; all that arrives here is the end of the
    // connection.
    if (mentions("failed to connect") || mentions("Socket closed") || mentions("Connection reset") ||
        mentions("handshake failed")) {
      std::string line =
          said.substr(said.rfind("last error: ") == std::string::npos ? 0 : said.rfind("last error: ") + 12);
      return {Code::kUnavailable, 0, Cat(peer, ": cannot be reached: ", line)};
    }
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && mentions("Deadline Exceeded")) {
    return {Code::kDeadlineExceeded, 0, Cat(peer, ": no answer in time")};
  }
  return {static_cast<Code>(status.error_code()), 0,
          said.empty() ? Cat(peer, ": ", CodeName(static_cast<Code>(status.error_code()))) : said};
}

Result<> ResultOf(const grpc::Status& status, std::string_view peer) {
  if (status.ok()) return {};
  return Failure(FromStatus(status, peer));
}

}  // namespace slipway
