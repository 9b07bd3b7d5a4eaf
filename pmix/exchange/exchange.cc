// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/exchange.h"

#include <algorithm>

#include "base/wire/wire.h"
#include "pmix/exchange/packed.h"

namespace slipway {
namespace {

enum class Kind : std::uint8_t { kBlocks = 1, kCancel = 3, kRequest = 4, kAnswer = 5, kStepFailed = 6 };

constexpr char kNoProtocol[] = " does not keep the protocol of the exchange";

// FNV-1a: the names come from one user's own ranks, who gains nothing by a collision with himself.
std::uint64_t NameOf(std::string_view members, const std::vector<std::uint32_t>& nodes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (char c : members) add(static_cast<unsigned char>(c));
  for (std::uint32_t node : nodes) {
    for (int shift = 0; shift < 32; shift += 8) add(static_cast<unsigned char>(node >> shift));
  }
  return hash;
}

// Of all that these will become.
Result<std::size_t> PlainBytesOf(const std::vector<std::string>& blocks) {
  std::size_t bytes = 0;
  for (const std::string& block : blocks) bytes += TRY(PlainBytes(block));
  return bytes;
}

// How far in the ring a round's message goes, and of how many nodes it brings the blocks.
bool IsDirect(std::size_t count) { return count <= kDirectNodesMax; }
std::size_t StepOf(std::uint32_t round, std::size_t count) {
  return IsDirect(count) ? std::size_t{round} + 1 : std::size_t{1} << round;
}
std::size_t BlocksOf(std::uint32_t round, std::size_t count) {
  return IsDirect(count) ? 1 : std::min(StepOf(round, count), count - StepOf(round, count));
}

std::size_t PositionOf(const std::vector<std::uint32_t>& nodes, std::uint32_t node) {
  return static_cast<std::size_t>(std::lower_bound(nodes.begin(), nodes.end(), node) - nodes.begin());
}

}  // namespace

std::string AsPart(std::string_view bytes) { return Encode(std::string(bytes)); }

std::vector<std::string> PartsOf(std::string_view all) {
  std::vector<std::string> parts;
  while (!all.empty()) {
    WireReader reader(all);
    std::string part;
    reader(part);
    if (reader.failed()) break;
    all = all.substr(all.size() - reader.bytes_left());
    parts.push_back(std::move(part));
  }
  return parts;
}

struct Exchange::Message {
  Kind kind{};
  std::uint64_t name = 0;    // of the set; or the request's number
  std::uint64_t number = 0;  // within the set; or the service; or the error's code; or the exit code
  std::uint32_t round = 0;   // of blocks
  bool ok = true;            // of an answer
  std::string data;          // packed, of a request and of an answer that is no error; or the reason
};
void Fields(auto& archive, auto& v) requires requires { v.kind, v.name, v.number, v.round, v.ok, v.data; }
{ archive(v.kind, v.name, v.number, v.round, v.ok, v.data); }

Exchange::Exchange(std::uint32_t node_index, std::vector<std::string> node_names, ExchangeCallbacks callbacks,
                   std::size_t message_bytes_max)
    : node_index_(node_index),
      names_(std::move(node_names)),
      callbacks_(std::move(callbacks)),
      message_bytes_max_(message_bytes_max) {
  CHECK(node_index_ < names_.size());
}

std::string Exchange::Gone(std::uint32_t node) const {
  auto at = gone_.find(node);
  return at == gone_.end() ? std::string() : Cat("node ", names_[node], " is gone: ", at->second);
}

void Exchange::SendTo(std::uint32_t node, const Message& message) {
  if (gone_.contains(node)) return;
  auto at = links_.find(node);
  if (at == links_.end()) {
    at =
        links_
            .emplace(node, Link([this, node](std::string bytes) { callbacks_.send(node, std::move(bytes)); }))
            .first;
  }
  at->second.Send(Encode(message));
}

// Whom we send to or hear from in any round.
std::set<std::uint32_t> Exchange::Neighbours(const Gather& gather) const {
  std::set<std::uint32_t> beside;
  std::size_t count = gather.nodes.size();
  std::uint32_t round = 0;
  for (std::size_t step; (step = StepOf(round, count)) < count; ++round) {
    beside.insert(gather.nodes[(gather.position + step) % count]);
    beside.insert(gather.nodes[(gather.position + count - step) % count]);
  }
  return beside;
}

void Exchange::AllGather(std::string_view members, const std::vector<std::uint32_t>& nodes, std::string data,
                         Reply reply) {
  CHECK(std::is_sorted(nodes.begin(), nodes.end()) &&
        std::binary_search(nodes.begin(), nodes.end(), node_index_));
  if (nodes.size() == 1) return reply(std::move(data));
  std::uint64_t name = NameOf(members, nodes);
  Key key{name, entered_[name]++};
  Gather& gather = gathers_[key];
  gather.nodes = nodes;
  gather.position = PositionOf(nodes, node_index_);
  gather.blocks.push_back(Pack(data));
  gather.reply = std::move(reply);
  std::string failure = gather.failure;
  for (std::uint32_t node : nodes) {
    if (failure.empty()) failure = Gone(node);
  }
  if (!failure.empty()) return FailGather(key, failure);
  std::uint32_t rounds = IsDirect(nodes.size()) ? static_cast<std::uint32_t>(nodes.size()) - 1 : 1;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    if (!SendRound(key, gather, round)) return;
  }
  Advance(key);
}

std::uint64_t Exchange::Entered(std::string_view members, const std::vector<std::uint32_t>& nodes) const {
  auto at = entered_.find(NameOf(members, nodes));
  return at == entered_.end() ? 0 : at->second;
}

// False: it was too much, and has failed.
bool Exchange::SendRound(const Key& key, const Gather& gather, std::uint32_t round) {
  std::size_t count = gather.nodes.size(), step = StepOf(round, count);
  std::vector<std::string> blocks(
      gather.blocks.begin(), gather.blocks.begin() + static_cast<std::ptrdiff_t>(BlocksOf(round, count)));
  if (TooMuch(key, blocks)) return false;
  SendTo(gather.nodes[(gather.position + count - step) % count], {.kind = Kind::kBlocks,
                                                                  .name = key.first,
                                                                  .number = key.second,
                                                                  .round = round,
                                                                  .data = Encode(blocks)});
  return true;
}

// True: it has failed with that.
bool Exchange::TooMuch(const Key& key, const std::vector<std::string>& blocks) {
  std::size_t carried = 4, plain = PlainBytesOf(blocks).value_or(0);  // what came was looked at
  for (const std::string& block : blocks) carried += 4 + block.size();
  std::size_t bytes = std::max(carried, plain);
  if (bytes <= message_bytes_max_) return false;
  FailGather(key, Cat("the ranks exchange more than is carried: ", bytes, " bytes at node ",
                      names_[node_index_], ", at most ", message_bytes_max_));
  return true;
}

void Exchange::Advance(const Key& key) {
  Gather& gather = gathers_.at(key);
  std::size_t count = gather.nodes.size();
  for (std::size_t step; (step = StepOf(gather.round, count)) < count;) {
    std::uint32_t from = gather.nodes[(gather.position + step) % count];
    auto at = gather.come.find({gather.round, from});
    if (at == gather.come.end()) return;
    auto theirs = Decode<std::vector<std::string>>(at->second, "blocks");
    gather.come.erase(at);
    auto bytes = theirs ? PlainBytesOf(*theirs) : Result<std::size_t>(Failure(theirs.error()));
    if (!bytes || *bytes > message_bytes_max_ || theirs->size() != BlocksOf(gather.round, count))
      return FailGather(key, Cat("node ", names_[from], kNoProtocol));
    std::move(theirs->begin(), theirs->end(), std::back_inserter(gather.blocks));
    ++gather.round;
    // By dissemination the sender finds that out; here nobody sends what others brought.
    if (IsDirect(count) && TooMuch(key, gather.blocks)) return;
    if (!IsDirect(count) && StepOf(gather.round, count) < count && !SendRound(key, gather, gather.round))
      return;
  }
  Finish(key);
}

void Exchange::Finish(const Key& key) {
  Gather& gather = gathers_.at(key);
  std::string all;
  all.reserve(PlainBytesOf(gather.blocks).value_or(0));
  for (std::size_t i = 0; i < gather.blocks.size(); ++i) {
    if (Unpack(gather.blocks[i], message_bytes_max_, all)) continue;
    std::uint32_t whose = gather.nodes[(gather.position + i) % gather.nodes.size()];
    return FailGather(key, Cat("the data of node ", names_[whose], " came broken"));
  }
  Reply reply = std::move(gather.reply);
  gathers_.erase(key);
  reply(std::move(all));
}

// Those next to us hear of it too, so that nobody waits for a node that only we know to be gone.
void Exchange::FailGather(const Key& key, const std::string& reason) {
  Gather gather = std::move(gathers_.at(key));
  gathers_.erase(key);
  if (!gather.reply) return;
  for (std::uint32_t node : Neighbours(gather)) {
    SendTo(node, {.kind = Kind::kCancel, .name = key.first, .number = key.second, .data = reason});
  }
  gather.reply(Fail(Code::kUnavailable, reason));
}

void Exchange::Ask(std::uint32_t node, Service service, std::string data, Reply reply) {
  if (node == node_index_) return callbacks_.serve(node, service, std::move(data), std::move(reply));
  if (std::string gone = Gone(node); !gone.empty()) return reply(Fail(Code::kUnavailable, gone));
  if (data.size() > message_bytes_max_)
    return reply(Fail(Code::kResourceExhausted, "a request of ", data.size(), " bytes to node ", names_[node],
                      ", at most ", message_bytes_max_));
  std::uint64_t request = next_request_++;
  asked_.emplace(request, Asked{node, std::move(reply)});
  SendTo(node, {.kind = Kind::kRequest,
                .name = request,
                .number = static_cast<std::uint64_t>(service),
                .data = Pack(data)});
}

void Exchange::TellStepFailed(std::int32_t exit_code, std::string_view reason) {
  for (std::uint32_t node = 0; node < names_.size(); ++node) {
    if (node == node_index_) continue;
    SendTo(node, {.kind = Kind::kStepFailed,
                  .number = static_cast<std::uint64_t>(exit_code),
                  .data = std::string(reason)});
  }
}

Result<> Exchange::Deliver(std::uint32_t node, std::string_view bytes) {
  if (node >= names_.size() || node == node_index_)
    return Fail(Code::kInvalidArgument, "exchange frame from node ", node,
                ", which is not another of the step's");
  if (gone_.contains(node)) return {};
  auto at = links_.find(node);
  if (at == links_.end()) {
    at = links_.emplace(node, Link([this, node](std::string out) { callbacks_.send(node, std::move(out)); }))
             .first;
  }
  std::vector<std::string> messages = TRY_CONTEXT(at->second.Deliver(bytes), Cat("from node ", names_[node]));
  for (const std::string& raw : messages) {
    Handle(node, TRY_CONTEXT(Decode<Message>(raw, "exchange message"), Cat("from node ", names_[node])));
  }
  return {};
}

void Exchange::Handle(std::uint32_t node, Message&& message) {
  switch (message.kind) {
    case Kind::kBlocks:
      return HandleBlocks(node, std::move(message));
    case Kind::kCancel:
      return HandleCancel(message);
    case Kind::kRequest:
      return HandleRequest(node, message);
    case Kind::kAnswer:
      return HandleAnswer(node, message);
    case Kind::kStepFailed:
      return callbacks_.step_failed(node, static_cast<std::int32_t>(message.number & 0xff),
                                    std::move(message.data));
  }
}

void Exchange::HandleBlocks(std::uint32_t node, Message&& message) {
  constexpr std::uint32_t kRoundsMax = 32;
  Key key{message.name, message.number};
  auto entered = entered_.find(key.first);
  bool past = entered != entered_.end() && key.second < entered->second && !gathers_.contains(key);
  if (past || message.round >= kRoundsMax) return;  // failed here; the cancel is on its way to them
  if (!gathers_.contains(key) && gathers_.size() >= kExchangeOpenMax) return;
  Gather& gather = gathers_[key];
  gather.come.insert_or_assign({message.round, node}, std::move(message.data));
  if (gather.reply) Advance(key);
}

void Exchange::HandleCancel(const Message& message) {
  Key key{message.name, message.number};
  auto entered = entered_.find(key.first);
  bool past = entered != entered_.end() && key.second < entered->second;
  auto at = gathers_.find(key);
  if (at == gathers_.end() && (past || gathers_.size() >= kExchangeOpenMax)) return;
  if (at != gathers_.end() && at->second.reply) return FailGather(key, message.data);
  gathers_[key].failure = message.data;  // for when we enter it
}

void Exchange::HandleRequest(std::uint32_t node, const Message& message) {
  std::uint64_t request = message.name;
  std::string asked;
  if (!Unpack(message.data, message_bytes_max_, asked)) {
    return SendTo(node, {.kind = Kind::kAnswer,
                         .name = request,
                         .number = static_cast<std::uint64_t>(Code::kInvalidArgument),
                         .ok = false,
                         .data = Cat("what node ", names_[node], " asked came broken")});
  }
  callbacks_.serve(node, static_cast<Service>(message.number), std::move(asked),
                   [this, node, request](Result<std::string> data) {
                     if (data && data->size() > message_bytes_max_)
                       data = Fail(Code::kResourceExhausted, "an answer of ", data->size(),
                                   " bytes, at most ", message_bytes_max_);
                     Message answer{.kind = Kind::kAnswer, .name = request, .ok = data.has_value()};
                     if (!data) answer.number = static_cast<std::uint64_t>(data.error().code);
                     answer.data = data ? Pack(*data) : data.error().message;
                     SendTo(node, answer);
                   });
}

void Exchange::HandleAnswer(std::uint32_t node, const Message& message) {
  auto at = asked_.find(message.name);
  if (at == asked_.end() || at->second.node != node) return;
  Reply reply = std::move(at->second.reply);
  asked_.erase(at);
  if (message.ok) {
    std::string answer;
    if (Unpack(message.data, message_bytes_max_, answer)) return reply(std::move(answer));
    return reply(Fail(Code::kInvalidArgument, "node ", names_[node], kNoProtocol));
  }
  bool known = message.number > 0 && message.number <= static_cast<std::uint64_t>(Code::kUnauthenticated);
  reply(Fail(known ? static_cast<Code>(message.number) : Code::kUnknown, "node ", names_[node], ": ",
             message.data));
}

// One that has everything may end before the others do: only who waits for its word must fail, and tells
// those who wait for his.
bool Exchange::StillNeeds(const Gather& gather, std::uint32_t node) {
  std::size_t count = gather.nodes.size();
  for (std::uint32_t round = gather.round; StepOf(round, count) < count; ++round) {
    std::uint32_t from = gather.nodes[(gather.position + StepOf(round, count)) % count];
    if (from == node && !gather.come.contains({round, from})) return true;
  }
  return false;
}

void Exchange::PeerGone(std::uint32_t node, std::string_view reason) {
  if (node >= names_.size() || node == node_index_ || gone_.contains(node)) return;
  gone_.emplace(node, std::string(reason));
  links_.erase(node);
  std::vector<Key> hit;
  for (auto& [key, gather] : gathers_) {
    if (StillNeeds(gather, node)) hit.push_back(key);
  }
  for (const Key& key : hit) {
    if (gathers_.contains(key)) FailGather(key, Gone(node));
  }
  std::vector<Reply> replies;
  for (auto at = asked_.begin(); at != asked_.end();) {
    if (at->second.node != node) {
      ++at;
      continue;
    }
    replies.push_back(std::move(at->second.reply));
    at = asked_.erase(at);
  }
  for (Reply& reply : replies) reply(Fail(Code::kUnavailable, Gone(node)));
}

std::vector<std::string> Exchange::Missing() const {
  std::set<std::string> names;
  for (auto& [key, gather] : gathers_) {
    if (!gather.reply) continue;
    std::size_t from = gather.position + StepOf(gather.round, gather.nodes.size());
    names.insert(names_[gather.nodes[from % gather.nodes.size()]]);
  }
  return {names.begin(), names.end()};
}

void Exchange::Tick() {
  for (auto& [node, link] : links_) link.Tick();
}

void Exchange::Resend() {
  for (auto& [node, link] : links_) link.Resend();
}

bool Exchange::wants_tick() const {
  return std::any_of(links_.begin(), links_.end(), [](auto& entry) { return entry.second.wants_tick(); });
}

}  // namespace slipway
