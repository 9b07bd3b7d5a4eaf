// SPDX-License-Identifier: Apache-2.0
// slipway-agent and slipwayd ask the node's broker for what only root can do; this is the asking side of
// launcher/spec/broker_protocol.h on a Loop. Answers may overtake one another; each finds its callback by id.
//
// Used on the loop's thread only. Callbacks run on it, never from within the call that made the request; they
// may make new requests and may destroy the client. When the connection is lost every pending request fails
// with kUnavailable, then Events::lost is called, once; later requests fail at once (again from the loop).
// Destroying the client drops pending callbacks uncalled. The broker goes on with what it was asked: connect
// anew and ListSteps.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "base/os/socket.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

class BrokerClient {
 public:
  // Connects (a Unix socket answers at once or not at all) and sends Hello; Events::welcome follows. Requests
  // may be made before it.
  static Result<std::unique_ptr<BrokerClient>> Connect(Loop& loop, const std::string& socket_path);
  // The same on a socket that is connected already.
  static Result<std::unique_ptr<BrokerClient>> Adopt(Loop& loop, UniqueFd socket);
  ~BrokerClient();
  BrokerClient(const BrokerClient&) = delete;
  BrokerClient& operator=(const BrokerClient&) = delete;

  struct Events {
    std::function<void(const BrokerWelcome&)> welcome;
    std::function<void(const StepGone&)> step_gone;
    std::function<void(const StepGone&)> step_stuck;  // BrokerFrame::kStepStuck
    std::function<void(Error)> lost;
  };
  void SetEvents(Events events);
  bool lost() const { return lost_; }  // true from before the first request that fails of it

  using Done = std::function<void(Result<>)>;
  void AdmitImage(const std::string& digest, UniqueFd file, Done done);
  void RemoveImage(const std::string& digest, Done done);
  void ListImages(std::function<void(Result<std::vector<StoredImage>>)> done);
  struct Grant {
    JobRoom room;
    std::uint64_t lease_boot_ms = 0;  // StepLease's
    bool pmix = false;                // as in slipway::StartStep
  };
  void StartStep(const SignedCredential& credential, StepDevices devices, Grant grant,
                 UniqueFd step_spec_memfd, Done done);
  void RenewLease(StepId step, std::uint64_t boot_ms, Done done);
  void FreezeStep(StepId step, bool frozen, Done done);
  void KillStep(StepId step, Done done);
  void EndJob(StepId step, Done done);
  void ForgetStep(StepId step, Done done);
  void ListSteps(std::function<void(Result<std::vector<StepRecord>>)> done);
  struct Imported {
    ImportedImage image;
    UniqueFd file;     // read-only
    UniqueFd content;  // what is inside (imagestore/content/content.h), read-only; may be missing
  };
  void ImportImage(UniqueFd file, bool as_is, std::function<void(Result<Imported>)> done);

 private:
  struct Reply {
    BrokerFrame kind{};
    std::string_view payload;
    std::vector<UniqueFd> fds;
  };
  using Pending = std::function<void(Result<Reply>)>;
  struct Outgoing {
    std::string bytes;
    UniqueFd fd;
  };

  BrokerClient(Loop& loop, UniqueFd socket) : loop_(loop), socket_(std::move(socket)) {}
  Result<> Begin();
  template <class Request>
  void Ask(BrokerFrame kind, Request request, UniqueFd fd, Pending pending);
  void AskDone(BrokerFrame kind, StepId step, Done done);
  static Pending Expect(BrokerFrame kind, Done done);
  void Queue(std::string bytes, UniqueFd fd);
  void Flush();
  void OnSocket();
  Result<> OnFrame(Message message);
  void Lose(Error error);

  Loop& loop_;
  UniqueFd socket_;
  Loop::WatchId watch_;
  bool writable_watched_ = false;
  bool lost_ = false;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Pending> pending_;
  std::vector<Outgoing> outgoing_;  // what the socket would not take yet
  Events events_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // false once destroyed: callbacks may do that
};

}  // namespace slipway
