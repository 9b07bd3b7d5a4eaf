// SPDX-License-Identifier: Apache-2.0
// What a rank asks of its host besides data: a line among its output, a signal to others of the step.
#include "agent/stepd/stepd.h"

namespace slipway {
namespace {

constexpr std::int32_t kSignalMax = 64;

std::string ForTerminal(const std::string& text) {
  std::string lines;
  for (char c : text) lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
  return lines;
}

}  // namespace

// Where the rank's own output goes; spawned ranks' lines to a client have the number of the node's first. One
// that cannot be taken now is not kept: who asked is told, and has it still.
bool Stepd::SayFor(const std::optional<PmixPeer>& peer, bool to_stderr, const std::string& text) {
  std::uint32_t rank = LocalRanks().empty() ? 0 : LocalRanks()[0];
  if (peer && peer->nspace == nspace_) rank = peer->rank;
  if (terminal_size_) return rank != 0 || output_.Say({.rank = 0, .bytes = ForTerminal(text)});
  if (const UniqueFd& file = FileOf(to_stderr)) return WriteAll(file.get(), text).has_value();
  return output_.Say({.rank = rank, .stream = static_cast<std::uint8_t>(to_stderr ? 2 : 1), .bytes = text});
}

// Each node has those that are its own told, ours last: the asker may be among them.
void Stepd::AskForSignal(const SignalRequest& request, Exchange::Reply reply) {
  struct Asked {
    std::size_t nodes_left;
    std::uint64_t signalled = 0;
    Result<> failed{};
    Exchange::Reply reply;
  };
  auto asked = std::make_shared<Asked>(Asked{.nodes_left = spec_.nodes.size(), .reply = std::move(reply)});
  auto heard = [asked](const Result<std::string>& answer) {
    auto count = answer ? Decode<std::uint64_t>(*answer, "number of ranks") : Failure(answer.error());
    // Of a node that is gone there is nobody left.
    if (!count && count.error().code != Code::kUnavailable) asked->failed = Failure(count.error());
    asked->signalled += count.value_or(0);
    if (--asked->nodes_left > 0) return;
    asked->reply(asked->failed ? Result<std::string>(Encode(asked->signalled))
                               : Failure(asked->failed.error()));
  };
  std::string bytes = Encode(request);
  for (std::uint32_t i = 1; i <= spec_.nodes.size(); ++i) {
    auto node = static_cast<std::uint32_t>((spec_.node_index + i) % spec_.nodes.size());
    exchange_.Ask(node, Service::kSignal, bytes, heard);
  }
  ArmExchangeTick();
}

Result<std::string> Stepd::SignalHere(std::string_view bytes) {
  auto request = TRY(Decode<SignalRequest>(bytes, "signal request"));
  if (request.signal_number < 1 || request.signal_number > kSignalMax)
    return slipway::Fail(Code::kInvalidArgument, "signal ", request.signal_number);
  if (suspended_ && request.signal_number == SIGCONT)
    return slipway::Fail(Code::kFailedPrecondition, "the job is suspended");
  std::uint64_t signalled = 0;
  for (const SignalRequest::Ranks& ranks : request.ranks) {
    if (ranks.world != nspace_) {
      signalled += spawner_.Signal(ranks.world, ranks.rank, request.signal_number);
      continue;
    }
    for (std::size_t task = 0; task < LocalRanks().size(); ++task) {
      std::uint32_t rank = LocalRanks()[task];
      if ((ranks.rank != kAllRanks && ranks.rank != rank) || outcome_.Exited(rank)) continue;
      init_.Signal(static_cast<std::int32_t>(task), request.signal_number);
      ++signalled;
    }
  }
  return Encode(signalled);
}

}  // namespace slipway
