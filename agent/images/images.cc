// SPDX-License-Identifier: Apache-2.0
#include "agent/images/images.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log/log.h"

namespace slipway {

Images::Images(Loop& loop, std::string folder, std::uint64_t bytes_max, std::shared_ptr<ImageOffers> offers,
               Fetcher fetch, Changed changed)
    : loop_(loop),
      folder_(std::move(folder)),
      offers_(std::move(offers)),
      fetch_(std::move(fetch)),
      changed_(std::move(changed)),
      cache_(bytes_max) {
  if (auto text = ReadFile(folder_ + "/index")) cache_.Decode(*text);
}

Images::~Images() {
  *alive_ = false;
  for (auto& [digest, wanted] : wanted_) wanted.cancel->Cancel();
  for (auto& [digest, wanted] : wanted_) {
    if (wanted.thread.joinable()) wanted.thread.join();
  }
}

void Images::SetBroker(BrokerClient* broker) {
  broker_ = broker;
  evicting_ = false;
  if (broker_ == nullptr) return;
  std::vector<std::string> ready;
  for (auto& [digest, wanted] : wanted_) {
    if (wanted.file) ready.push_back(digest);
  }
  for (const std::string& digest : ready) Admit(digest);
  MakeRoom();
}

void Images::SetHeld(const std::vector<StoredImage>& images) {
  held_.clear();
  for (const StoredImage& image : images) held_.insert(image.digest);
  cache_.Reconcile(images);
  auto names = NamesIn(folder_);
  if (!names) return Log(Level::kWarn, "the image folder", {{"error", names.error().message}});
  for (const std::string& name : *names) Offer(name);
  SaveIndex();
}

void Images::Want(const std::string& digest, std::uint64_t bytes, Need need, Done done) {
  auto [at, fresh] = wanted_.try_emplace(digest);
  at->second.waiting.push_back(std::move(done));
  if (need == Need::kStep) at->second.need = need;
  if (!fresh) return;
  FetchRequirements& requirements = at->second.requirements;
  requirements = {.digest = digest, .bytes = bytes, .folder = folder_};
  requirements.make_room = [this, digest, cancel = at->second.cancel.get()](std::uint64_t size) {
    return WaitForRoom(digest, size, *cancel);
  };
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
          auto fetched = std::make_shared<Result<FetchedImage>>(fetch_(requirements, *cancel));
          loop_.Post([this, alive, digest, fetched] {
            if (*alive) OnFetched(digest, std::move(*fetched));
          });
        });
  }
}

void Images::OnFetched(const std::string& digest, Result<FetchedImage> fetched) {
  Wanted& wanted = wanted_.at(digest);
  wanted.thread.join();
  --running_;
  if (fetched) {
    wanted.file = fetched->file;
    wanted.counts = fetched->counts;
    Admit(digest);
  } else {
    Finish(digest, Failure(std::move(fetched).error()));
  }
  StartNext();
}

void Images::Admit(const std::string& digest) {
  if (broker_ == nullptr) return;  // SetBroker comes back to it
  auto copy = ReopenReadOnly(wanted_.at(digest).file->get());
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
  Wanted& wanted = node.mapped();
  ImageNews news{digest, outcome.has_value(), outcome ? std::string() : outcome.error().message,
                 wanted.counts};
  if (outcome) {
    held_.insert(digest);
    KeepForOthers(digest, wanted);
    Log(Level::kInfo, "holding an image",
        {{"digest", digest},
         {"chunks", news.counts.chunks},
         {"from_controller", news.counts.from_controller},
         {"from_peers", news.counts.from_peers},
         {"resumed", news.counts.resumed}});
  } else {
    Forget(digest);
    // What is not the image must not be gone on with.
    if (outcome.error().code == Code::kDataLoss) ::unlink(PartialPath(folder_, digest).c_str());
    Log(Level::kWarn, "an image could not be had", {{"digest", digest}, {"error", news.error}});
  }
  SaveIndex();
  changed_(news);
  for (Done& done : wanted.waiting) done(outcome);
}

// The broker has given the file another name in its store, or has copied it.
void Images::KeepForOthers(const std::string& digest, const Wanted& wanted) {
  std::string part = PartialPath(folder_, digest), link = LinkPath(digest);
  struct stat info {};
  if (wanted.file && ::fstat(wanted.file->get(), &info) == 0)
    cache_.Hold(digest, static_cast<std::uint64_t>(info.st_size), NowMs());
  if (info.st_nlink >= 2 && ::rename(part.c_str(), link.c_str()) == 0)
    return offers_->Put(digest, {wanted.file, nullptr});
  ::unlink(part.c_str());
  Offer(link.substr(link.rfind('/') + 1));
}

void Images::Forget(const std::string& digest) {
  held_.erase(digest);
  cache_.Drop(digest);
  offers_->Remove(digest);
  ::unlink(LinkPath(digest).c_str());
}

void Images::Used(const std::string& digest) {
  cache_.Use(digest, NowMs());
  if (loop_.Now() - saved_ > std::chrono::seconds(60)) SaveIndex();
}

void Images::Drop(const std::string& digest) {
  if (broker_ == nullptr) return changed_({digest, Held(digest), "the node's broker is away", {}});
  broker_->RemoveImage(digest, [this, alive = alive_, digest](Result<> removed) {
    if (!*alive) return;
    if (removed) Forget(digest);
    changed_({digest, Held(digest), removed ? std::string() : removed.error().message, {}});
  });
}

}  // namespace slipway
