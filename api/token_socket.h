// SPDX-License-Identifier: Apache-2.0
// Where a user of this host turns his uid, as the kernel knows it (SO_PEERCRED), into a token. SEQPACKET, one
// question a connection: the client sends "token 1", the server answers "ok TOKEN" or "error LINE" and
// closes. The controller issues; an agent asks the controller first (Vouch).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "base/os/socket.h"

namespace slipway {

// Owned by the loop's thread. At most 256 questions wait at a time; a client that says nothing for 5 s is
// dropped.
class TokenSocket {
 public:
  using Reply = std::function<void(Result<std::string>)>;  // call once, on the loop's thread; harmless after
                                                           // ~TokenSocket
  using Issue = std::function<void(const PeerIdentity&, Reply)>;
  static Result<std::unique_ptr<TokenSocket>> Listen(Loop& loop, const std::string& path, Issue issue);
  ~TokenSocket();

 private:
  struct Asker {
    UniqueFd socket;
    Loop::WatchId watch;
    Loop::TimerId timer;
  };
  explicit TokenSocket(Loop& loop) : loop_(loop) {}
  void Accept();
  void Hear(std::uint64_t id);
  void Answer(std::uint64_t id, const Result<std::string>& token);
  void Drop(std::uint64_t id);

  Loop& loop_;
  Issue issue_;
  UniqueFd listen_;
  Loop::WatchId watch_;
  std::map<std::uint64_t, Asker> askers_;
  std::uint64_t next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Blocks, at most `patience`. The errors are the server's own line, or say that nobody listens on `path`.
Result<std::string> FetchToken(const std::string& path,
                               std::chrono::seconds patience = std::chrono::seconds(10));

}  // namespace slipway
