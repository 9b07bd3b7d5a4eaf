// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/fence_watch.h"

#include "base/text/hostlist.h"
#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::size_t kNamedMax = 16;

// "rank 3 on n1", "one of the ranks 2, 3 on n1": libpmix does not tell which of several it waits for.
std::string MissingOf(const FenceState& state, const std::string& node) {
  if (state.missing.empty()) return Cat("a rank on ", node);
  std::vector<std::string> words;
  for (std::uint32_t rank : state.missing) {
    if (words.size() == kNamedMax) {
      words.emplace_back("…");
      break;
    }
    words.push_back(std::to_string(rank));
  }
  return Cat(state.missing.size() == 1 ? "rank " : "one of the ranks ", Join(words, ", "), " on ", node);
}

}  // namespace

FenceWatch::~FenceWatch() {
  for (auto& [number, watched] : watched_) loop_.Cancel(watched.timer);
}

std::uint64_t FenceWatch::Began(FenceName fence) {
  if (host_.limit.count() == 0 || fence.nodes.size() < 2) return 0;
  std::uint64_t number = ++last_;
  Watched& watched = watched_[number];
  watched.fence = std::move(fence);
  watched.timer = loop_.After(host_.limit, [this, number] { OnLate(number); });
  return number;
}

void FenceWatch::Ended(std::uint64_t number) {
  auto at = watched_.find(number);
  if (at == watched_.end()) return;
  loop_.Cancel(at->second.timer);
  watched_.erase(at);
}

void FenceWatch::OnLate(std::uint64_t number) {
  Watched& watched = watched_.at(number);
  watched.timer = loop_.After(kAnswersComeWithin, [this, number] { Judge(number); });
  FenceName fence = watched.fence;  // an answer may come within the question
  for (std::uint32_t node : fence.nodes) {
    if (node == host_.node) continue;
    host_.ask(node, Service::kFenceEntered, Encode(fence), [this, number, node](Result<std::string> answer) {
      auto at = watched_.find(number);
      auto state = answer ? Decode<FenceState>(*answer, "state of a fence")
                          : Result<FenceState>(Failure(answer.error()));
      if (at == watched_.end() || !state) return;
      at->second.answers[node] = std::move(*state);
      if (at->second.answers.size() + 1 == at->second.fence.nodes.size()) Judge(number);
    });
  }
}

void FenceWatch::Judge(std::uint64_t number) {
  auto at = watched_.find(number);
  if (at == watched_.end()) return;
  Watched watched = std::move(at->second);
  Ended(number);
  std::vector<std::string> missing, silent;
  for (std::uint32_t node : watched.fence.nodes) {
    if (node == host_.node) continue;
    auto answer = watched.answers.find(node);
    if (answer == watched.answers.end()) {
      silent.push_back(host_.nodes[node]);
    } else if (!answer->second.entered && missing.size() < kNamedMax) {
      missing.push_back(MissingOf(answer->second, host_.nodes[node]));
    }
  }
  std::string why = missing.empty() ? std::string() : Cat("missing: ", Join(missing, "; "));
  if (!silent.empty()) why += Cat(why.empty() ? "" : "; ", "no answer from ", CompressHostlist(silent));
  if (why.empty()) why = "all ranks are in it, and their data did not arrive";
  host_.fail(Cat("a fence did not end within ", host_.limit.count(), " s (--mpi-timeout); ", why));
}

}  // namespace slipway
