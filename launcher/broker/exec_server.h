// SPDX-License-Identifier: Apache-2.0
// The broker's door for users: `slipway exec` outside of jobs. One request a connection; a container lives as
// long as its caller holds the connection, and the connection ends with it. What is run the broker never
// sees.
#pragma once

#include <map>
#include <optional>

#include "base/loop/loop.h"
#include "launcher/broker/caller.h"
#include "launcher/broker/container_birth.h"
#include "launcher/broker/images.h"

namespace slipway {

class ExecServer {
 public:
  struct World {
    const BrokerConf& conf;
    Loop& loop;
    ImageKeeper& images;
    ContainerEntry entry;
    HostPlace host;
    bool proc_masked;
  };
  explicit ExecServer(World world) : world_(std::move(world)) {}
  Result<> Listen();  // nothing where the policy or a rootless broker forbids it

 private:
  static constexpr std::size_t kConnectionsMax = 4096;
  using Id = std::uint32_t;
  struct Connection {
    UniqueFd socket;
    Loop::WatchId watch;
    uid_t uid = 0;
    bool asked = false, importing = false;
    std::optional<Process> init;
    Loop::WatchId init_watch;
    Loop::TimerId deadline;
  };
  void Accept();
  Result<uid_t> Admit(int socket) const;
  void Serve(Id id);
  Result<> Handle(Id id, Connection& connection);
  Result<> Exec(Id id, Connection& connection, std::string_view payload, UniqueFd control);
  Result<> Import(Id id, Connection& connection, bool as_is, UniqueFd file);
  void Refuse(const Connection& connection, const Error& error);
  void CallerGone(Id id);
  void Ended(Id id);
  StepId UserOf(Id id) const { return {0, 0, id}; }  // there is no job 0

  World world_;
  UniqueFd listen_;
  Id next_id_ = 1;
  std::map<Id, Connection> connections_;
};

}  // namespace slipway
