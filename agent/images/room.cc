// SPDX-License-Identifier: Apache-2.0
// Images' side towards the disk: room for what comes, the names in its folder, the cache's memory.
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/images/images.h"
#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::string_view kLinkPrefix = "sha256-", kPartSuffix = ".part";

}  // namespace

Result<> Images::WaitForRoom(const std::string& digest, std::uint64_t bytes, FetchCancel& cancel) {
  auto answer = std::make_shared<std::promise<Result<>>>();
  auto future = answer->get_future();
  loop_.Post([this, alive = alive_, digest, bytes, answer] {
    if (!*alive) return;
    rooms_.push_back({digest, bytes, answer, {}});
    MakeRoom();
  });
  // The loop's thread may be in ~Images, which waits for us.
  while (future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (cancel.cancelled()) return Fail(Code::kCancelled, "the fetch was cancelled");
  }
  return future.get();
}

void Images::Trim() {
  if (cache_.Excess(0) == 0 || !rooms_.empty()) return;
  rooms_.push_back({});
  MakeRoom();
}

std::uint64_t Images::Coming(const Room& room) const {
  std::uint64_t bytes = room.bytes;
  for (const auto& [digest, wanted] : wanted_) bytes += wanted.granted;
  return bytes;
}

// One removal at a time, because the broker answers later and only it knows what steps use.
void Images::MakeRoom() {
  while (!rooms_.empty() && !evicting_ && broker_ != nullptr) {
    Room& room = rooms_.front();
    std::uint64_t coming = Coming(room), excess = cache_.Excess(coming + StrayParts(false));
    if (excess > 0) {
      StrayParts(true);
      excess = cache_.Excess(coming);
    }
    std::set<std::string> needed = room.tried;
    for (const auto& [digest, wanted] : wanted_) needed.insert(digest);
    auto candidates = cache_.Candidates(needed);
    // Nothing goes for what can never fit.
    if (excess == 0 || candidates.empty() || room.bytes > cache_.bytes_max()) {
      Result<> judged = Judge(room, excess);
      if (auto at = wanted_.find(room.digest); at != wanted_.end() && judged) at->second.granted = room.bytes;
      if (room.answer) room.answer->set_value(std::move(judged));
      rooms_.pop_front();
      continue;
    }
    evicting_ = true;
    broker_->RemoveImage(candidates.front(),
                         [this, alive = alive_, digest = candidates.front()](Result<> done) {
                           if (!*alive) return;
                           evicting_ = false;
                           if (done) {
                             Log(Level::kInfo, "an image had to go for others", {{"digest", digest}});
                             Forget(digest);
                             SaveIndex();
                             changed_({digest, false, {}, {}});
                           } else if (done.error().code == Code::kUnavailable) {
                             return;  // SetBroker comes back to it
                           } else if (!rooms_.empty()) {
                             rooms_.front().tried.insert(digest);
                           }
                           MakeRoom();
                         });
  }
}

Result<> Images::Judge(const Room& room, std::uint64_t excess) const {
  if (excess == 0 || room.digest.empty()) return {};
  std::string bound = FormatBytes(cache_.bytes_max());
  if (room.bytes > cache_.bytes_max())
    return Fail(Code::kResourceExhausted, "an image of ", FormatBytes(room.bytes),
                " is more than this node keeps (agent.image_cache: ", bound, ")");
  auto wanted = wanted_.find(room.digest);
  if (wanted == wanted_.end() || wanted->second.need == Need::kPrefetch)
    return Fail(Code::kResourceExhausted,
                "steps use what fills this node's image cache (agent.image_cache: ", bound,
                "); it is fetched when its job starts");
  Log(Level::kWarn, "steps use more images than agent.image_cache allows; the bound is exceeded for now",
      {{"digest", room.digest}, {"by_bytes", excess}});
  return {};
}

// What fetches left that nobody has asked for again since we started: its bytes on the disk.
std::uint64_t Images::StrayParts(bool remove) const {
  std::uint64_t bytes = 0;
  auto names = NamesIn(folder_);
  if (!names) return 0;
  for (const std::string& name : *names) {
    struct stat info;
    std::string path = Cat(folder_, "/", name);
    if (!name.ends_with(kPartSuffix) || ::stat(path.c_str(), &info) < 0) continue;
    std::string digest = Cat("sha256:", name.substr(0, name.size() - kPartSuffix.size()));
    if (wanted_.contains(digest)) continue;
    bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
    if (!remove || ::unlink(path.c_str()) < 0) continue;
    Log(Level::kInfo, "what had come of an image had to go for others", {{"digest", digest}});
  }
  return bytes;
}

// A name in the folder: still the broker's file, or of an image that it has removed.
void Images::Offer(const std::string& name) {
  if (!name.starts_with(kLinkPrefix)) return;
  std::string digest = Cat("sha256:", name.substr(kLinkPrefix.size())), path = Cat(folder_, "/", name);
  if (!IsDigest(digest) || wanted_.contains(digest)) return;
  struct stat info;
  bool there = Held(digest) && ::stat(path.c_str(), &info) == 0 && info.st_nlink >= 2;
  auto file = Open(path, O_RDONLY | O_NOFOLLOW);
  if (!there || !file) {
    ::unlink(path.c_str());
    return offers_->Remove(digest);
  }
  cache_.Learn(digest, static_cast<std::uint64_t>(info.st_size));
  offers_->Put(digest, {std::make_shared<UniqueFd>(std::move(*file)), nullptr});
}

void Images::SaveIndex() {
  saved_ = loop_.Now();
  auto written = WriteFileAtomically(folder_ + "/index", cache_.Encode(), 0600);
  if (!written) Log(Level::kWarn, "the image cache's index", {{"error", written.error().message}});
}

std::int64_t Images::NowMs() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(loop_.WallNow().time_since_epoch()).count();
}

std::string Images::LinkPath(const std::string& digest) const {
  return Cat(folder_, "/", kLinkPrefix, digest.substr(digest.find(':') + 1));
}

}  // namespace slipway
