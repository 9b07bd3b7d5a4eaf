// SPDX-License-Identifier: Apache-2.0
#include "agent/node/images.h"

#include <fcntl.h>

#include "base/log/log.h"

namespace slipway {

Images::Images(Loop& loop, std::string folder, Fetcher fetch, Changed changed)
    : loop_(loop), folder_(std::move(folder)), fetch_(std::move(fetch)), changed_(std::move(changed)) {}

Images::~Images() {
  *alive_ = false;
  for (auto& [digest, wanted] : wanted_) wanted.cancel->Cancel();
  for (auto& [digest, wanted] : wanted_) {
    if (wanted.thread.joinable()) wanted.thread.join();
  }
}

void Images::SetBroker(BrokerClient* broker) {
  broker_ = broker;
  if (broker_ == nullptr) return;
  std::vector<std::string> ready;
  for (auto& [digest, wanted] : wanted_) {
    if (wanted.file) ready.push_back(digest);
  }
  for (const std::string& digest : ready) Admit(digest);
}

void Images::SetHeld(const std::vector<std::string>& digests) { held_ = {digests.begin(), digests.end()}; }

void Images::Want(const std::string& digest, std::uint64_t bytes, Done done) {
  auto [at, fresh] = wanted_.try_emplace(digest);
  at->second.waiting.push_back(std::move(done));
  if (!fresh) return;
  at->second.requirements = {.digest = digest, .bytes = bytes, .folder = folder_};
  queue_.push_back(digest);
  StartNext();
}

void Images::StartNext() {
  while (running_ < kFetchesMax && !queue_.empty()) {
    std::string digest = std::move(queue_.front());
    queue_.pop_front();
    Wanted& wanted = wanted_.at(digest);
    ++running_;
    Log(Level::kInfo, "fetching an image", {{"digest", digest}, {"bytes", wanted.requirements.bytes}});
    wanted.thread = std::thread(
        [this, alive = alive_, digest, requirements = wanted.requirements, cancel = wanted.cancel.get()] {
          auto file = std::make_shared<Result<UniqueFd>>(fetch_(requirements, *cancel));
          loop_.Post([this, alive, digest, file] {
            if (*alive) OnFetched(digest, std::move(*file));
          });
        });
  }
}

void Images::OnFetched(const std::string& digest, Result<UniqueFd> file) {
  Wanted& wanted = wanted_.at(digest);
  wanted.thread.join();
  --running_;
  if (file) {
    wanted.file = std::move(*file);
    Admit(digest);
  } else {
    Finish(digest, Failure(std::move(file).error()));
  }
  StartNext();
}

void Images::Admit(const std::string& digest) {
  if (broker_ == nullptr) return;  // SetBroker comes back to it
  Wanted& wanted = wanted_.at(digest);
  auto copy = Open(Cat("/proc/self/fd/", wanted.file.get()), O_RDONLY);
  if (!copy) return Finish(digest, Failure(std::move(copy).error()));
  broker_->AdmitImage(digest, std::move(*copy), [this, alive = alive_, digest](Result<> admitted) {
    if (!*alive || wanted_.count(digest) == 0) return;
    // A broker that is lost is followed by another, which is asked again.
    if (!admitted && admitted.error().code == Code::kUnavailable) return;
    Finish(digest, admitted);
  });
}

void Images::Finish(const std::string& digest, const Result<>& outcome) {
  auto node = wanted_.extract(digest);
  if (outcome) {
    held_.insert(digest);
    Log(Level::kInfo, "holding an image", {{"digest", digest}});
  } else {
    held_.erase(digest);
    Log(Level::kWarn, "an image could not be had", {{"digest", digest}, {"error", outcome.error().message}});
  }
  changed_(digest, outcome.has_value(), outcome ? std::string() : outcome.error().message);
  for (Done& done : node.mapped().waiting) done(outcome);
}

void Images::Drop(const std::string& digest) {
  if (broker_ == nullptr) return changed_(digest, Held(digest), "the node's broker is away");
  broker_->RemoveImage(digest, [this, alive = alive_, digest](Result<> removed) {
    if (!*alive) return;
    if (removed) held_.erase(digest);
    changed_(digest, Held(digest), removed ? std::string() : removed.error().message);
  });
}

}  // namespace slipway
