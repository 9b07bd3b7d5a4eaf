// SPDX-License-Identifier: Apache-2.0
// Connections and frames of the broker: who is there is the kernel's word, what is asked is decoded with
// every bound checked, and an answer to a peer that has gone is dropped.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/socket.h"
#include "launcher/broker/images.h"
#include "launcher/broker/steps.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

class BrokerServer {
 public:
  BrokerServer(const BrokerConf& conf, Loop& loop, ImageKeeper& images, std::vector<std::string> cannot)
      : conf_(conf), loop_(loop), images_(images), cannot_(std::move(cannot)) {}

  Result<> Listen(StepKeeper& steps);
  void Announce(BrokerFrame kind, const StepGone& news);

 private:
  static constexpr std::size_t kConnectionsMax = 64;
  struct Connection {
    UniqueFd socket;
    Loop::WatchId watch;
    uid_t uid = 0;
    bool greeted = false;
  };
  using ConnectionId = std::uint64_t;

  void Accept();
  Result<uid_t> Admit(int socket) const;
  void Serve(ConnectionId id);
  Result<> Handle(ConnectionId id, BrokerFrame kind, std::string_view payload, std::vector<UniqueFd> fds);
  Result<> Greet(ConnectionId id, std::string_view payload);
  Result<> List(ConnectionId id, BrokerFrame kind, std::string_view payload);
  Result<> Import(ConnectionId id, const ImportRequest& asked, UniqueFd source);
  void AnswerDone(ConnectionId id, std::uint64_t request, const Result<>& result,
                  BrokerFrame good = BrokerFrame::kDone);
  void Send(ConnectionId id, const std::string& frame, const std::vector<int>& fds = {});
  void Close(ConnectionId id);

  const BrokerConf& conf_;
  Loop& loop_;
  ImageKeeper& images_;
  StepKeeper* steps_ = nullptr;
  std::vector<std::string> cannot_;
  UniqueFd listen_;
  ConnectionId next_id_ = 1;
  std::map<ConnectionId, Connection> connections_;
};

}  // namespace slipway
