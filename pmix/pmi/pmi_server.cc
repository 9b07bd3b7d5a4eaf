// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/pmi_server.h"

#include <algorithm>

#include "base/text/text.h"
#include "base/text/units.h"
#include "base/wire/wire.h"
#include "pmix/pmi/mapping.h"

namespace slipway {
namespace {

// What one node adds in a fence; several of them follow one another in the answer.
struct Contribution {
  std::vector<std::pair<std::string, std::string>> pairs;
};
void Fields(auto& archive, IsA<Contribution> auto& v) { archive(v.pairs); }

}  // namespace

PmiServer::PmiServer(PmiWorld world, PmiCallbacks callbacks)
    : world_(std::move(world)), callbacks_(std::move(callbacks)) {
  for (auto& list : world_.ranks) size_ += static_cast<std::uint32_t>(list.size());
  node_of_.resize(size_);
  for (std::uint32_t node = 0; node < world_.ranks.size(); ++node) {
    for (std::uint32_t rank : world_.ranks[node]) node_of_.at(rank) = node;
  }
  for (std::uint32_t rank : world_.ranks.at(world_.node_index)) sessions_[rank];
  common_["PMI_process_mapping"] = PmiProcessMapping(world_.ranks);
  if (common_["PMI_process_mapping"].size() > kPmiValueBytesMax) common_.clear();  // host names will do
  for (const auto& [key, value] : world_.put) {
    if (key.size() <= kPmiKeyBytesMax && value.size() <= kPmiValueBytesMax) common_[key] = value;
  }
}

void PmiServer::Receive(std::uint32_t rank, std::string_view bytes) {
  auto at = sessions_.find(rank);
  if (at == sessions_.end() || at->second.gone) return;
  Session& session = at->second;
  if (auto fed = session.reader.Feed(bytes); !fed) return Break(rank, fed.error().message);
  while (!session.gone) {
    auto request = session.reader.Next();
    if (!request) return Break(rank, request.error().message);
    if (!*request) return;
    const PmiRequest& got = **request;
    if (got.command == "init") {
      HandleInit(rank, session, got);
    } else if (!session.greeted) {
      return Break(rank, Cat("PMI: ", got.command.substr(0, 40), " before init"));
    } else if (!(session.version == PmiVersion::k1 ? Handle1(rank, session, got)
                                                   : Handle2(rank, session, got))) {
      return Break(rank, Cat("PMI: the command ", got.command.substr(0, 40), " is not known here"));
    }
  }
}

void PmiServer::HandleInit(std::uint32_t rank, Session& session, const PmiRequest& request) {
  std::string version = request.Get("pmi_version");
  bool known = version == "1" || version == "2";
  // The first line is answered in the first version's form by both.
  PmiReply reply(PmiVersion::k1, "response_to_init");
  reply.Add("pmi_version", known ? version : "2").Add("pmi_subversion", version == "1" ? 1 : 0);
  Answer(rank, std::move(reply.Add("rc", known ? 0 : -1)));
  if (!known) return;
  bool first = !session.greeted;
  session.greeted = true;
  session.version = version == "1" ? PmiVersion::k1 : PmiVersion::k2;
  session.reader.Speak(session.version);
  if (first) callbacks_.connected(rank);
}

void PmiServer::Answer(std::uint32_t rank, PmiReply reply) {
  auto at = sessions_.find(rank);
  if (at != sessions_.end() && !at->second.gone) callbacks_.send(rank, reply.Take());
}

void PmiServer::Break(std::uint32_t rank, std::string why) {
  sessions_.at(rank).gone = true;
  callbacks_.broken(rank, std::move(why));
}

Result<> PmiServer::Put(Session& session, const std::string& key, const std::string& value) {
  if (key.empty() || key.size() > kPmiKeyBytesMax || value.size() > kPmiValueBytesMax)
    return Fail(Code::kInvalidArgument, "key_or_value_too_long");
  if (session.put_bytes + key.size() + value.size() > kPmiPutBytesMax)
    return Fail(Code::kResourceExhausted, "too_many_keys");
  session.put_bytes += key.size() + value.size();
  common_[key] = value;
  session.put.emplace_back(key, value);
  return {};
}

const std::string* PmiServer::Look(const std::string& key) const {
  auto at = common_.find(key);
  return at == common_.end() ? nullptr : &at->second;
}

// Who takes part: nobody named is all; NODE those here; else a list of ranks.
Result<PmiServer::Fence> PmiServer::FenceOf(const std::string& group) const {
  std::vector<std::uint32_t> members;
  if (group.empty()) {
    for (std::uint32_t rank = 0; rank < size_; ++rank) members.push_back(rank);
  } else if (group == "NODE") {
    members = world_.ranks[world_.node_index];
  } else {
    for (const std::string& word : Split(group, ',')) {
      auto rank = ParseNumber(word, 0, size_ - 1);
      if (!rank) return Failure(std::move(rank).error().Context("group"));
      members.push_back(static_cast<std::uint32_t>(*rank));
    }
  }
  Fence fence;
  std::set<std::uint32_t> nodes;
  for (std::uint32_t rank : members) {
    nodes.insert(node_of_[rank]);
    if (node_of_[rank] == world_.node_index) fence.expected.insert(rank);
  }
  fence.nodes.assign(nodes.begin(), nodes.end());
  return fence;
}

void PmiServer::EnterFence(std::uint32_t rank, const std::string& group, const std::string& thrid) {
  auto at = fences_.find(group);
  if (at == fences_.end()) {
    auto fence = FenceOf(group);
    if (!fence) return Break(rank, Cat("PMI fence: ", fence.error().message));
    fence->number = ++last_fence_;
    at = fences_.emplace(group, std::move(*fence)).first;
    callbacks_.begun(last_fence_);
  }
  Fence& fence = at->second;
  if (!fence.expected.contains(rank)) return Break(rank, "PMI fence: the rank is not of the group it names");
  if (fence.sent) return Break(rank, "PMI fence: entered twice");
  fence.waiting_for[rank] = thrid;
  Advance(group);
}

void PmiServer::Advance(const std::string& group) {
  Fence& fence = fences_.at(group);
  for (std::uint32_t rank : fence.expected) {
    const Session& session = sessions_.at(rank);
    if (fence.waiting_for.contains(rank)) continue;
    if (session.gone || session.finalized) return callbacks_.left(rank);
    return;  // still to come
  }
  fence.sent = true;
  Contribution mine;
  for (std::uint32_t rank : fence.expected) {
    auto& put = sessions_.at(rank).put;
    std::move(put.begin(), put.end(), std::back_inserter(mine.pairs));
    put.clear();
  }
  callbacks_.fence(Cat(world_.name, "/", group), fence.nodes, AsPart(Encode(mine)),
                   [this, group](Result<std::string> all) { EndFence(group, std::move(all)); });
}

void PmiServer::EndFence(const std::string& group, Result<std::string> all) {
  auto at = fences_.find(group);
  if (at == fences_.end()) return;
  Fence fence = std::move(at->second);
  fences_.erase(at);
  if (all) Merge(*all);
  for (auto& [rank, thrid] : fence.waiting_for) {
    bool second = sessions_.at(rank).version == PmiVersion::k2;
    PmiReply reply(sessions_.at(rank).version, second ? "kvs-fence-response" : "barrier_out");
    if (!thrid.empty()) reply.Add("thrid", thrid);
    Answer(rank, std::move(reply.Add("rc", all ? 0 : 1)));
  }
}

// Other nodes' stepds may be in their user's hands: what does not read as contributions is left out.
void PmiServer::Merge(std::string_view all) {
  for (const std::string& part : PartsOf(all)) {
    auto theirs = Decode<Contribution>(part, "PMI fence");
    if (!theirs) continue;
    for (auto& [key, value] : theirs->pairs) {
      if (key.size() <= kPmiKeyBytesMax && value.size() <= kPmiValueBytesMax) common_[key] = std::move(value);
    }
  }
}

void PmiServer::Gone(std::uint32_t rank) {
  auto at = sessions_.find(rank);
  if (at == sessions_.end() || at->second.gone) return;
  at->second.gone = true;
  if (!at->second.greeted || at->second.finalized) return;
  for (auto& [group, fence] : fences_) {
    if (fence.sent || !fence.expected.contains(rank)) continue;
    return callbacks_.left(rank);
  }
}

std::vector<std::uint32_t> PmiServer::FenceWaitsFor(std::uint64_t number) const {
  std::set<std::uint32_t> missing;
  for (auto& [group, fence] : fences_) {
    if (fence.sent || (number != 0 && fence.number != number)) continue;
    for (std::uint32_t rank : fence.expected) {
      if (!fence.waiting_for.contains(rank)) missing.insert(rank);
    }
  }
  return {missing.begin(), missing.end()};
}

std::size_t PmiServer::ProgramOf(std::uint32_t rank) const {
  std::size_t program = 0;
  for (; program + 1 < world_.programs.size() && rank >= world_.programs[program]; ++program)
    rank -= world_.programs[program];
  return program;
}

void PmiServer::PutNodeAttribute(const std::string& key, const std::string& value) {
  node_attributes_[key] = value;
  std::vector<Waiter> left;
  for (Waiter& waiter : attribute_waiters_) {
    if (waiter.key != key) {
      left.push_back(std::move(waiter));
      continue;
    }
    PmiReply reply(PmiVersion::k2, "info-getnodeattr-response");
    if (!waiter.thrid.empty()) reply.Add("thrid", waiter.thrid);
    Answer(waiter.rank, std::move(reply.Add("found", "TRUE").Add("value", value).Add("rc", 0)));
  }
  attribute_waiters_ = std::move(left);
}

}  // namespace slipway
