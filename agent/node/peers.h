// SPDX-License-Identifier: Apache-2.0
// Agents carry the exchange of their steps' stepds to one another: one stream to each peer that is written
// to, opened when the first frame asks for it. Frames to one peer keep their order; what is under way when a
// stream breaks may be lost (the stepds number theirs and send again). Fences wait for this, so it is TLS on
// the loop's own thread (tls_stream.h); images, where bytes count and not hops, are served by gRPC on the
// same port. docs/formats/peers.md says what passes.
//
// Loop's thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/steps/held_frames.h"
#include "api/tls.h"
#include "base/loop/loop.h"
#include "base/os/tcp.h"
#include "launcher/spec/step_id.h"

namespace grpc {
class Service;
}

namespace slipway {

// What a stream between agents begins with, in the clear: no TLS handshake does, which is how the port tells
// it from gRPC. The accepting end answers kPeerAnswer within TLS once it has taken the certificate.
inline constexpr std::string_view kPeerGreeting = "slipway peer 1\n";
inline constexpr std::string_view kPeerAnswer = "1";

// Towards the others.
class PeerLinks {
 public:
  struct Limits {
    std::size_t queued_bytes = 64 << 20;  // to one peer; frames beyond are dropped
    std::chrono::milliseconds lost_after = std::chrono::seconds(30);  // without a stream
  };
  // `lost`: the peer could not be reached for that long. Later frames try again.
  using Lost = std::function<void(const std::string& node, const std::string& reason)>;
  PeerLinks(Loop& loop, TlsFiles files, Limits limits, Lost lost);
  ~PeerLinks();

  void Send(const std::string& node, const std::string& address, const StepId& step, std::uint32_t to_node,
            PeerWord word);

 private:
  struct Peer;
  void Open(const std::string& node);
  Result<> Connect(const std::string& node, const std::vector<TcpAddress>& addresses);
  void OnEnded(const std::string& node, const std::string& why);
  void GiveUp(const std::string& node, const std::string& why);

  Loop& loop_;
  TlsFiles files_;
  Limits limits_;
  Lost lost_;
  std::map<std::string, std::unique_ptr<Peer>> peers_;
};

// Of connections that have not said yet what they are, or not proved who.
struct StrangerLimits {
  std::size_t at_once = 256;  // more are closed
  std::chrono::milliseconds within = std::chrono::seconds(10);
};

// From the others: a TLS port that takes node certificates only. What a frame claims is the handler's to
// check against `word.sender`, which is the certificate's name.
class PeerServer {
 public:
  using Handler = std::function<void(const StepId& step, std::uint32_t to_node, PeerWord word)>;
  // `listen`: "host:port"; port 0 takes a free one. `also` (may be null) is served by gRPC on the same port.
  static Result<std::unique_ptr<PeerServer>> Start(Loop& loop, const std::string& listen,
                                                   const TlsFiles& files, Handler handler,
                                                   std::unique_ptr<grpc::Service> also,
                                                   StrangerLimits limits = {});
  ~PeerServer();
  int port() const;

 private:
  struct Impl;
  explicit PeerServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway
