// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/rendezvous.h"

#include <algorithm>

namespace slipway {
namespace {

// A name as it is kept: with the step that published it.
struct Kept {
  std::uint32_t step = 0;
  std::string value;
};
void Fields(auto& archive, IsA<Kept> auto& v) { archive(v.step, v.value); }

constexpr std::uint32_t kMember = 1;  // its index in the exchange with it

}  // namespace

Result<> CheckWorlds(const std::vector<JobWorld>& worlds) {
  for (const JobWorld& world : worlds) {
    std::size_t count = 0;
    for (const auto& ranks : world.ranks) count += ranks.size();
    std::vector<bool> seen(count);
    for (const auto& ranks : world.ranks) {
      for (std::uint32_t rank : ranks) {
        if (rank >= count || seen[rank])
          return Fail(Code::kInvalidArgument, "a world whose ranks are not 0 to ", count);
        seen[rank] = true;
      }
    }
    if (world.name.empty() || count == 0 || world.nodes.size() != world.ranks.size())
      return Fail(Code::kInvalidArgument, "a world without name, ranks or nodes");
  }
  return {};
}

Rendezvous::~Rendezvous() = default;

std::uint32_t Rendezvous::NumberOf(const std::string& node) {
  return node_numbers_.emplace(node, static_cast<std::uint32_t>(node_numbers_.size())).first->second;
}

// One that has not spoken yet may be asked for data of its ranks.
Result<Rendezvous::Known*> Rendezvous::MemberOf(const Member& who) {
  auto at = members_.find(who);
  if (at != members_.end()) return &at->second;
  if (members_.size() >= kMembersMax)
    return Fail(Code::kResourceExhausted, "more stepds of this job meet than are kept apart");
  Known& known = members_[who];
  known.node_number = NumberOf(who.node);
  ExchangeCallbacks callbacks{
      .send = [this, who](std::uint32_t, std::string out) { host_.send(who, std::move(out), {}); },
      .serve = [this, who](std::uint32_t, Service service, std::string data,
                           Exchange::Reply reply) { Serve(who, service, data, std::move(reply)); },
      .step_failed = [](std::uint32_t, std::int32_t, std::string) {}};
  known.exchange = std::make_unique<Exchange>(0, std::vector<std::string>{"of the batch script", who.node},
                                              std::move(callbacks));
  return &known;
}

Result<> Rendezvous::Deliver(const Member& from, std::string_view bytes) {
  Known* known = TRY(MemberOf(from));
  known->heard = true;
  if (!known->gone) return known->exchange->Deliver(kMember, bytes);
  host_.send(from, {}, "the batch script's node could not reach this one for a while");
  return {};
}

void Rendezvous::Serve(const Member& from, Service service, const std::string& data, Exchange::Reply reply) {
  auto answer = [&](Result<> done) {
    reply(done ? Result<std::string>(std::string()) : Result<std::string>(Failure(done.error())));
  };
  switch (service) {
    case Service::kJobWorlds:
      return answer(LearnWorlds(from, data));
    case Service::kName:
      return ServeName(from, data, std::move(reply));
    case Service::kJobMeet:
      return ServeMeet(from, data, std::move(reply));
    case Service::kNumber:
      return reply(Encode(++last_number_));
    case Service::kModex:
      return ServeModex(data, std::move(reply));
    case Service::kJobLaunch:
      return ServeLaunch(from, data, std::move(reply));
    case Service::kJobJoin:
      return reply(Join(from, data));
    case Service::kJobStarted:
      return answer(Started(from, data));
    default:
      reply(Fail(Code::kUnimplemented, "the job's batch step does not know service ",
                 static_cast<int>(service)));
  }
}

// Each member of a step may say the same.
Result<> Rendezvous::LearnWorlds(const Member& from, const std::string& data) {
  auto worlds = TRY(Decode<std::vector<JobWorld>>(data, "worlds"));
  TRY(CheckWorlds(worlds));
  for (JobWorld& world : worlds) {
    auto at = worlds_.find(world.name);
    if (at != worlds_.end() && at->second.step != from.step)
      return Fail(Code::kAlreadyExists, "a world of another step");
    if (worlds_.size() >= kJobWorldsMax) return Fail(Code::kResourceExhausted, "more worlds than are kept");
    std::string name = world.name;
    worlds_.insert_or_assign(std::move(name), Place{from.step, std::move(world)});
  }
  return {};
}

std::vector<JobWorld> Rendezvous::WorldsOf(std::uint32_t step) const {
  std::vector<JobWorld> worlds;
  for (const auto& [name, place] : worlds_) {
    if (place.step == step) worlds.push_back(place.world);
  }
  return worlds;
}

void Rendezvous::ServeName(const Member& from, const std::string& data, Exchange::Reply reply) {
  auto request = Decode<NameRequest>(data, "name request");
  if (!request) return reply(Failure(request.error()));
  request->node = members_.at(from).node_number;
  request->step = from.step;
  if (request->kind == NameRequest::kPublish) request->value = Encode(Kept{from.step, request->value});
  if (request->kind != NameRequest::kLookup) return names_.Handle(std::move(*request), std::move(reply));
  names_.Handle(std::move(*request), [this, step = from.step, reply](Result<std::string> kept) {
    auto name = kept ? Decode<Kept>(*kept, "kept name") : Result<Kept>(Failure(kept.error()));
    if (!name) return reply(Failure(name.error()));
    FoundName found{.value = std::move(name->value)};
    if (name->step != step) found.worlds = WorldsOf(name->step);
    reply(Encode(found));
  });
}

void Rendezvous::ServeMeet(const Member& from, const std::string& data, Exchange::Reply reply) {
  auto request = Decode<MeetRequest>(data, "meeting");
  if (!request) return reply(Failure(request.error()));
  std::set<std::uint32_t> steps;
  for (const std::string& world : request->worlds) {
    auto at = worlds_.find(world);
    if (at == worlds_.end()) return reply(Fail(Code::kUnavailable, "one of the steps has ended"));
    steps.insert(at->second.step);
  }
  std::pair key{std::move(request->members), request->number};
  if (!steps.contains(from.step) || (!meets_.contains(key) && meets_.size() >= kMeetsMax))
    return reply(Fail(Code::kInvalidArgument, "a meeting that this step has no part in, or one too many"));
  Meet& meet = meets_[key];
  if (meet.come.contains(from.step) || (!meet.steps.empty() && meet.steps != steps))
    return reply(Fail(Code::kInvalidArgument, "a meeting of other steps, or for the second time"));
  meet.steps = std::move(steps);
  meet.data += request->data;
  meet.come.emplace(from.step, std::move(reply));
  if (meet.come.size() < meet.steps.size()) return;
  Meet all = std::move(meet);
  meets_.erase(key);
  for (auto& [step, answer] : all.come) answer(all.data);
}

void Rendezvous::LeaveMeets(std::uint32_t step, const std::string& reason) {
  std::vector<Exchange::Reply> failed;
  for (auto at = meets_.begin(); at != meets_.end();) {
    if (!at->second.steps.contains(step)) {
      ++at;
      continue;
    }
    for (auto& [other, reply] : at->second.come) failed.push_back(std::move(reply));
    at = meets_.erase(at);
  }
  for (Exchange::Reply& reply : failed) reply(Fail(Code::kUnavailable, reason));
}

// On to the stepd that has the rank.
void Rendezvous::ServeModex(const std::string& data, Exchange::Reply reply) {
  auto request = Decode<ModexRequest>(data, "modex request");
  if (!request) return reply(Failure(request.error()));
  auto at = worlds_.find(request->world);
  if (at == worlds_.end()) return reply(Fail(Code::kUnavailable, "the step of that rank has ended"));
  const JobWorld& world = at->second.world;
  for (std::size_t node = 0; node < world.ranks.size(); ++node) {
    const auto& ranks = world.ranks[node];
    if (std::find(ranks.begin(), ranks.end(), request->rank) == ranks.end()) continue;
    auto member = MemberOf({at->second.step, world.nodes[node]});
    if (!member) return reply(Failure(member.error()));
    return (*member)->exchange->Ask(kMember, Service::kModex, data, std::move(reply));
  }
  reply(Fail(Code::kNotFound, "no such rank"));
}

void Rendezvous::ServeLaunch(const Member& from, const std::string& data, Exchange::Reply reply) {
  auto launch = Decode<JobLaunch>(data, "launch");
  if (!launch) return reply(Failure(launch.error()));
  if (launches_.size() >= kLaunchesMax)
    return reply(Fail(Code::kResourceExhausted, "ranks of other images run in ", kLaunchesMax,
                      " steps of this job already"));
  std::uint64_t ticket = ++last_ticket_;
  if (auto started = host_.launch(ticket, *launch); !started) return reply(Failure(started.error()));
  launches_.emplace(ticket, Launch{.request = std::move(launch->request), .parent = from, .reply = reply});
}

Result<std::string> Rendezvous::Join(const Member& from, const std::string& data) {
  auto ticket = TRY(Decode<std::uint64_t>(data, "ticket"));
  auto at = launches_.find(ticket);
  if (at == launches_.end() || at->second.joined || at->second.parent.step == from.step)
    return Fail(Code::kNotFound, "nobody of this job waits for that step");
  at->second.joined = true;
  at->second.step = from.step;
  return Encode(Joining{.parent = at->second.request.parent,
                        .parent_rank = at->second.request.parent_rank,
                        .worlds = WorldsOf(at->second.parent.step)});
}

Result<> Rendezvous::Started(const Member& from, const std::string& data) {
  auto started = TRY(Decode<JobStarted>(data, "word of a start"));
  auto at = launches_.find(started.ticket);
  auto world = worlds_.find(started.nspace);
  if (at == launches_.end() || !at->second.joined || at->second.step != from.step || !at->second.reply ||
      world == worlds_.end() || world->second.step != from.step)
    return Fail(Code::kNotFound, "nobody of this job waits for that step");
  at->second.nspace = started.nspace;
  Exchange::Reply reply = std::exchange(at->second.reply, nullptr);
  reply(Encode(Launched{started.nspace, WorldsOf(from.step)}));
  return {};
}

void Rendezvous::LaunchEnded(std::uint64_t ticket, std::int32_t exit_code) {
  auto at = launches_.find(ticket);
  if (at == launches_.end()) return;
  Launch launch = std::move(at->second);
  launches_.erase(at);
  if (launch.reply) {
    return launch.reply(
        Fail(Code::kFailedPrecondition, "slipway launch --image ", launch.request.image, " ended with code ",
             exit_code,
             " before all its ranks had called MPI_Init; what it said is in the output of the "
             "job's script"));
  }
  if (exit_code == 0) return;
  members_.at(launch.parent)
      .exchange->Ask(kMember, Service::kJobLaunchFailed, Encode(LaunchFailed{launch.nspace, exit_code}),
                     [](Result<std::string>) {});
}

// Nobody would tell of the end of a stepd that has never spoken: it goes with the first of its step.
void Rendezvous::StepGone(const Member& who, std::string_view reason) {
  std::vector<Member> gone{who};
  for (const auto& [member, known] : members_) {
    if (member.step == who.step && !known.heard && member != who) gone.push_back(member);
  }
  for (const Member& member : gone) OneGone(member, reason);
}

void Rendezvous::OneGone(const Member& who, std::string_view reason) {
  auto at = members_.find(who);
  if (at == members_.end() || at->second.gone) return;
  at->second.gone = true;
  at->second.exchange->PeerGone(kMember, reason);
  names_.ForgetStepd(who.step, at->second.node_number);
  LeaveMeets(who.step, Cat("step ", who.step, " is gone from node ", who.node, ": ", reason));
  std::erase_if(worlds_, [&](auto& entry) {
    const Place& place = entry.second;
    return place.step == who.step &&
           std::find(place.world.nodes.begin(), place.world.nodes.end(), who.node) != place.world.nodes.end();
  });
  for (auto& [ticket, launch] : launches_) {
    if (launch.parent == who && launch.reply) host_.stop(ticket);
  }
}

void Rendezvous::NodeGone(const std::string& node, std::string_view reason) {
  std::vector<Member> there;
  for (const auto& [member, known] : members_) {
    if (member.node == node) there.push_back(member);
  }
  for (const Member& member : there) StepGone(member, reason);
}

void Rendezvous::Tick() {
  for (auto& [member, known] : members_) known.exchange->Tick();
}

void Rendezvous::Resend() {
  for (auto& [member, known] : members_) known.exchange->Resend();
}

bool Rendezvous::wants_tick() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](auto& entry) { return entry.second.exchange->wants_tick(); });
}

}  // namespace slipway
