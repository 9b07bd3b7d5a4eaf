// SPDX-License-Identifier: Apache-2.0
// What agents carry for their steps passes four programs on its way, and each word from one thread to another
// costs more than the bytes do. gRPC took 100 µs and two hand-overs for a message of 1 KiB. So here is TLS on
// the loop itself: what is sent is encrypted and handed to the kernel at once, what comes is decrypted where
// the loop is told of it, and no other thread is woken (decision 82).
//
// Loop's thread only. `opened` and `bytes` come from the loop, never from within Send; they must not destroy
// the stream (Close it from the loop, or let `bytes` return an error). `ended` comes once, from the loop, may
// destroy it, and nothing comes after it.
#pragma once

#include <openssl/types.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/tls.h"
#include "base/loop/loop.h"
#include "base/os/fd.h"

namespace slipway {

class TlsStream {
 public:
  struct Events {
    // `node`: as the peer's certificate says, which the cluster's CA has signed.
    std::function<void(const std::string& node)> opened;
    // An error: the peer does not keep the protocol; the stream ends with it.
    std::function<Result<>(std::string_view bytes)> bytes;
    std::function<void(std::string why)> ended;
  };
  // `socket`: a TCP socket that is connecting, or has just been accepted. Not blocking; ours from then on.
  // The client goes on only with that node, and sends `greeting` in the clear before it begins TLS.
  static Result<std::unique_ptr<TlsStream>> Client(Loop& loop, const TlsFiles& files, UniqueFd socket,
                                                   const std::string& node, std::string_view greeting,
                                                   Events events);
  static Result<std::unique_ptr<TlsStream>> Server(Loop& loop, SSL_CTX* context, UniqueFd socket,
                                                   Events events);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Before the handshake is done it is queued. What a stream that has ended did not write is dropped.
  void Send(std::string_view bytes);
  std::size_t queued_bytes() const { return plain_.size() + cipher_.size() - sent_; }
  bool open() const { return open_; }

 private:
  TlsStream(Loop& loop, UniqueFd socket, Events events);
  Result<> Begin(SSL_CTX* context, bool client);
  void OnSocket(std::uint32_t epoll_events);
  void Read();
  Result<> Handshake();
  Result<> Deliver();
  void TakeCipher();
  void Flush();
  void Watch();
  void End(std::string why);

  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };
  Loop& loop_;
  UniqueFd socket_;
  Events events_;
  Loop::WatchId watch_;
  std::uint32_t watched_ = 0;
  std::unique_ptr<SSL, FreeSsl> ssl_;  // over two memory BIOs: what to read, what it wrote
  std::string plain_;                  // sent before the handshake was done
  std::string cipher_;                 // for the kernel, from sent_
  std::size_t sent_ = 0;
  bool open_ = false, connecting_ = false, ended_ = false;
};

// For both ends of streams between nodes: TLS 1.3, both certificates of the cluster's CA.
struct FreeTlsContext {
  void operator()(SSL_CTX* context) const;
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeTlsContext>;
// A certificate may be left out (files.cert empty): the other end will refuse us.
Result<TlsContext> MakeNodeTlsContext(const TlsFiles& files);

}  // namespace slipway
