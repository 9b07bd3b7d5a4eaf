// SPDX-License-Identifier: Apache-2.0
// The standard streams of interactive steps, between the agents of their nodes and the client that ran
// `slipway launch`. Nothing here may grow without bound and nothing may be lost: a node sends only what it
// has credit for, credit comes back when the client has taken the bytes, and what arrives before the client
// is there is held. A client that goes away and does not come back takes its step with it.
//
// Owned by Head, on the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/loop/loop.h"
#include "scheduler/core/controller.h"
#include "scheduler/server/ports.h"
#include "slipway/v1/job.pb.h"

namespace slipway::scheduler {

struct OutputPiece {
  StepId step;
  std::uint32_t rank = 0, stream = 1;
  std::string data;
};

struct StdinPiece {
  std::string data;
  bool eof = false;
  std::int32_t signal = 0;
  std::optional<v1::TerminalSize> terminal;
  // Rank 0 gets something by it.
  bool any() const { return !data.empty() || eof || terminal.has_value(); }
};

// A launch, or an allocation that somebody holds: without its client it ends.
inline bool LivesWithClient(const JobSpec& spec) { return spec.interactive || spec.command.stream; }

class Relays {
 public:
  // What a relay needs of its surroundings.
  struct World {
    std::function<const State&()> state;
    std::function<std::string(const Job&)> pending_reason;
    // To the node's present stream; false when it has none.
    std::function<bool(const std::string& node, const v1::ToNode&)> send;
    std::function<void(const StepId&)> end_step;  // nobody listens to it any more
    std::function<void(std::function<void()>)> after_commit;
    Duration reattach_within = std::chrono::seconds(5);  // a client that is gone may come back
  };
  Relays(Loop& loop, World world);
  ~Relays();

  // ---- Clients. `client` is borrowed until Detach, which is called before it dies.
  Result<> Attach(JobId job, std::uint32_t step, ClientPort* client);
  void Detach(ClientPort* client);
  // `taken` runs once more input may come.
  void Feed(ClientPort* client, StdinPiece input, std::function<void()> taken);

  // ---- Nodes
  // A new stream, or a launch on it: the node may send `window` bytes. Once for each step and session.
  void Grant(const std::string& node, std::uint64_t session, const StepId& step);
  // False: more than it had credit for.
  bool TakeOutput(const std::string& node, std::uint64_t session, OutputPiece output);
  void NodeNotice(const std::string& node, const StepId& step, const std::string& text);

  // ---- The state has changed (committed) for this job.
  void Wake(JobId job);
  void WakePending();  // reasons of waiting jobs may have changed
  // A step that streams exists: somebody should attach within `patience`.
  void Expect(JobId job, std::uint32_t step, Duration patience);

 private:
  struct Key {
    JobId job;
    std::uint32_t step;
    auto operator<=>(const Key&) const = default;
  };
  struct Held {
    std::string node;
    OutputPiece output;
  };
  struct NodeSide {
    std::uint64_t session = 0;
    std::uint32_t credit = 0;    // bytes it may still send
    std::uint32_t returned = 0;  // bytes taken since, not yet granted again
  };
  struct Relay {
    ClientPort* client = nullptr;
    std::uint32_t attempt = 0;
    std::deque<Held> held;
    std::uint32_t in_flight = 0;  // messages that the client's stream has not taken
    std::map<std::string, NodeSide> nodes;
    std::optional<StdinPiece> input;  // waits for rank 0 to start
    std::function<void()> taken;
    std::string notice;  // the last one sent
    Loop::TimerId orphan;
    bool discard = false;  // nobody will ever read it
    bool told_end = false;
  };

  void Pump(const Key& key);
  void Deliver(const Key& key, Relay& relay, Held held);
  void Return(const Key& key, const std::string& node, std::uint32_t attempt, std::size_t bytes);
  void Notice(Relay& relay, const std::string& text, bool running = false);
  void NoticeState(const Job& job, const Step* step, Relay& relay);
  void PassInput(const Key& key, Relay& relay);
  void Signal(const Job& job, const Step& step, std::int32_t signal);
  bool TellEnd(const Key& key, Relay& relay);
  void SendCounted(const Key& key, Relay& relay, const v1::AttachOutput& message, std::function<void()> then);
  void Orphaned(const Key& key);
  void Drop(const Key& key);

  Loop& loop_;
  World world_;
  std::map<Key, Relay> relays_;
  std::map<ClientPort*, Key> clients_;
};

}  // namespace slipway::scheduler
