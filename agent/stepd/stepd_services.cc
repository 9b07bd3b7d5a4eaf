// SPDX-License-Identifier: Apache-2.0
// What the stepds of one step do for one another.
#include "agent/stepd/mpi_settings.h"
#include "agent/stepd/stepd.h"

namespace slipway {

void Stepd::Serve(std::uint32_t node, Service service, std::string_view data, Exchange::Reply reply) {
  switch (service) {
    case Service::kModex: {
      auto request = Decode<ModexRequest>(data, "modex request");
      if (!request) return reply(Failure(request.error()));
      if (!pmix_) return reply(Fail(Code::kFailedPrecondition, "not an MPI step"));
      return pmix_->ServeModex(*request, std::move(reply));
    }
    case Service::kName: {
      auto request = Decode<NameRequest>(data, "name request");
      if (!request) return reply(Failure(request.error()));
      request->node = node;
      return names_.Handle(std::move(*request), std::move(reply));
    }
    case Service::kFenceEntered: {
      auto fence = Decode<FenceName>(data, "name of a fence");
      if (!fence) return reply(Failure(fence.error()));
      auto state = StateOf(*fence);
      return reply(state ? Result<std::string>(Encode(*state)) : Failure(state.error()));
    }
    case Service::kSpawn:
    case Service::kWorld:
    case Service::kWorldEnded:
      if (!mpi()) return reply(slipway::Fail(Code::kFailedPrecondition, "not an MPI step"));
      return spawner_.Serve(node, service, data, std::move(reply));
    case Service::kForeignWorlds: {
      auto worlds = Decode<std::vector<JobWorld>>(data, "worlds");
      if (!worlds) return reply(Failure(worlds.error()));
      auto known = KnowForeign(*worlds);
      return reply(known ? Result<std::string>(std::string()) : Failure(known.error()));
    }
    case Service::kSignal:
      return reply(SignalHere(data));
    case Service::kNumber:
      return reply(Encode(++last_number_));
    case Service::kNodeGone: {
      auto gone = Decode<StepPeerGone>(data, "node gone");
      if (!gone) return reply(Failure(gone.error()));
      reply(std::string());
      // Not here: what we are called by may be open with that node.
      return loop_.Post([this, gone = std::move(*gone)] { OnPeerGone(gone); });
    }
    case Service::kEvent: {
      auto delivered = pmix_ ? pmix_->DeliverEvent(data) : Result<>{};
      return reply(delivered ? Result<std::string>(std::string()) : Failure(delivered.error()));
    }
    default:
      break;
  }
  reply(slipway::Fail(Code::kUnimplemented, "this node does not know service ", static_cast<int>(service)));
}

// MPI_Comm_connect is a lookup that waits, by its library for minutes: with a limit of the user's, whether
// nobody accepts is known then. Who waits for clients (so Open MPI calls what it then waits for) may wait on.
Exchange::Reply Stepd::WithinLimit(const NameRequest& request, Exchange::Reply reply) {
  std::uint32_t limit_s = MpiFenceLimit_s(spec_);
  if (limit_s == 0 || request.kind != NameRequest::kLookup || !request.wait ||
      request.key.ends_with(":connect"))
    return reply;
  struct Waiting {
    Exchange::Reply reply;  // until it has been told
    Loop::TimerId timer;
  };
  auto waiting = std::make_shared<Waiting>(Waiting{.reply = std::move(reply)});
  waiting->timer = loop_.After(std::chrono::seconds(limit_s), [this, waiting, asked = request, limit_s] {
    NameRequest request = asked;
    std::string what =
        Cat(request.key.substr(0, 160), " was not there within ", limit_s, " s (--mpi-timeout)");
    std::string who = spawner_.NameOf(request.world, request.publisher);
    Warn(Cat(who.empty() ? Cat("rank ", request.publisher) : who, ": ", what,
             request.key.ends_with(":accept") ? ": nobody accepts at that port" : ": nobody published it"));
    std::exchange(waiting->reply, nullptr)(slipway::Fail(Code::kDeadlineExceeded, what));
    // A name that comes later is not for us, and may be there to be read only once.
    request.kind = NameRequest::kGiveUp;
    AskForName(std::move(request), [](Result<std::string>) {});
  });
  return [this, waiting](Result<std::string> value) {
    loop_.Cancel(waiting->timer);
    if (waiting->reply) std::exchange(waiting->reply, nullptr)(std::move(value));
  };
}

// The batch step keeps the names of the whole job; without one the first node keeps the step's.
void Stepd::AskForName(NameRequest request, Exchange::Reply reply) {
  reply = WithinLimit(request, std::move(reply));
  if (request.kind != NameRequest::kForget) asked_for_names_.emplace(request.world, request.publisher);
  if (meeting_.is_member()) return AskRendezvousForName(request, std::move(reply));
  exchange_.Ask(0, Service::kName, Encode(request), std::move(reply));
  ArmExchangeTick();
}

void Stepd::ForgetNamesOf(const std::string& world, std::uint32_t rank) {
  if (asked_for_names_.erase({world, rank}) == 0) return;
  NameRequest request{.kind = NameRequest::kForget, .world = world, .publisher = rank};
  AskForName(std::move(request), [](Result<std::string>) {});
}

// And the count of the numbers that were given; that of the job's is with its names.
void Stepd::AskForNumber(bool of_job, std::function<void(std::uint64_t)> reply) {
  auto take = [this, reply = std::move(reply)](Result<std::string> answer) {
    auto number =
        answer ? Decode<std::uint64_t>(*answer, "number") : Result<std::uint64_t>(Failure(answer.error()));
    if (!number && spec_.kill_on_bad_exit)
      FailStep(1, Cat("the ranks cannot form groups: ", number.error().message));
    reply(number.value_or(0));
  };
  if (of_job) return meeting_.Ask(Service::kNumber, {}, std::move(take));
  exchange_.Ask(0, Service::kNumber, {}, std::move(take));
  ArmExchangeTick();
}

// Where the others go on without a rank, those who registered for the news hear of it, on every node.
void Stepd::TellOfEnd(const PmixPeer& peer, ExitStatus status, bool without_finalize) {
  if (!pmix_ || spec_.kill_on_bad_exit || taking_down_) return;
  if (status.exit_code() == 0 && !without_finalize) return;
  RankEnd end = status.signaled()         ? RankEnd::kBySignal
                : status.exit_code() != 0 ? RankEnd::kByError
                                          : RankEnd::kWithoutFinalize;
  auto word = PmixServer::EventOf(peer, end);
  auto told = word ? pmix_->DeliverEvent(*word) : Result<>(Failure(word.error()));
  if (!told) return Warn(Cat("the other ranks are not told of the end: ", told.error().message));
  TellOthersEvent(*word);
}

// A node is dead, and the others go on: each of its ranks is told of as one that died. Not every node has
// talked to that one and would notice, so whoever does tells the others of it.
void Stepd::GoOnWithoutNode(const StepPeerGone& gone) {
  if (taking_down_ || result_ || !dead_nodes_.insert(gone.node).second) return;
  Warn(Cat("node ", spec_.nodes[gone.node], " is gone (", gone.reason, "); its ranks are taken for dead"));
  std::vector<PmixPeer> dead = spawner_.RanksOn(gone.node);
  for (std::uint32_t rank : spec_.ranks[gone.node]) dead.push_back({nspace_, rank});
  for (const PmixPeer& peer : dead) {
    auto word = pmix_ ? PmixServer::EventOf(peer, RankEnd::kByError) : Result<std::string>(std::string());
    auto told = word && pmix_ ? pmix_->DeliverEvent(*word) : Result<>();
    if (!word || !told) Warn(Cat("the ranks here are not told that rank ", peer.rank, " is dead"));
  }
  for (std::uint32_t node = 0; node < spec_.nodes.size(); ++node) {
    if (node == spec_.node_index || node == gone.node) continue;
    exchange_.Ask(node, Service::kNodeGone, Encode(gone), [](Result<std::string>) {});
  }
}

void Stepd::TellOthersEvent(const std::string& word) {
  for (std::uint32_t node = 0; node < spec_.nodes.size(); ++node) {
    if (node != spec_.node_index) exchange_.Ask(node, Service::kEvent, word, [](Result<std::string>) {});
  }
  ArmExchangeTick();
}

}  // namespace slipway
