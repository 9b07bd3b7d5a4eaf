// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/fence_tap.h"

#include <algorithm>

namespace slipway {
namespace {

// pmix_ptl_hdr_t: index, tag, size (32 bits of it, in network order, and four bytes of nothing).
constexpr std::size_t kHeaderBytes = 16;
constexpr std::uint8_t kFenceCommand = 3;

std::uint32_t BigEndian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (char c : bytes.substr(0, 4)) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

// libpmix's packing since 4.0: seven bits a byte, the lowest first; what has a sign is zigzag.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : left_(bytes) {}
  bool failed() const { return failed_; }
  std::uint64_t Unsigned() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      std::uint8_t byte = Byte();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    failed_ = true;
    return 0;
  }
  std::uint64_t Count() {  // signed, never below zero
    std::uint64_t value = Unsigned();
    if (value & 1) failed_ = true;
    return value >> 1;
  }
  std::uint8_t Byte() { return failed_ || left_.empty() ? Fail() : static_cast<std::uint8_t>(Take(1)[0]); }
  std::string Text() {
    std::uint64_t size = Count();
    if (failed_ || size == 0 || size > left_.size()) return Fail(), std::string();
    std::string text(Take(static_cast<std::size_t>(size)));
    if (text.back() != '\0') return Fail(), std::string();
    text.pop_back();
    return text;
  }

 private:
  std::uint8_t Fail() {
    failed_ = true;
    return 0;
  }
  std::string_view Take(std::size_t size) {
    std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  std::string_view left_;
  bool failed_ = false;
};

}  // namespace

std::optional<std::vector<PmixPeer>> FenceRanksOf(std::string_view payload) {
  Unpacker unpack(payload);
  if (unpack.Count() != 1 || unpack.Byte() != kFenceCommand || unpack.Count() != 1) return std::nullopt;
  std::uint64_t count = unpack.Unsigned();
  if (unpack.Count() != count || unpack.failed() || count == 0 || count > payload.size()) return std::nullopt;
  std::vector<PmixPeer> ranks;
  while (ranks.size() < count && !unpack.failed()) {
    std::string nspace = unpack.Text();
    std::uint64_t rank = unpack.Unsigned();
    if (rank > kAllRanks) return std::nullopt;
    ranks.push_back({std::move(nspace), static_cast<std::uint32_t>(rank)});
  }
  if (unpack.failed()) return std::nullopt;
  return ranks;
}

std::optional<std::uint32_t> TagOf(std::string_view header) {
  if (header.size() < kHeaderBytes) return std::nullopt;
  return BigEndian(header.substr(4));
}

std::vector<RequestStream::Fence> RequestStream::Feed(std::string_view bytes) {
  std::vector<Fence> fences;
  while (!bytes.empty()) {
    bool in_header = header_.size() < kHeaderBytes;
    std::size_t wanted = in_header ? kHeaderBytes - header_.size() : payload_left_;
    std::string_view part = bytes.substr(0, wanted);
    bytes.remove_prefix(part.size());
    if (in_header) {
      header_ += part;
      if (header_.size() < kHeaderBytes) break;
      payload_left_ = BigEndian(std::string_view(header_).substr(8));
    } else {
      head_ += part.substr(0, kFenceRequestBytesMax - std::min(kFenceRequestBytesMax, head_.size()));
      payload_left_ -= part.size();
    }
    if (payload_left_ > 0) continue;
    if (auto ranks = FenceRanksOf(head_)) fences.push_back({*TagOf(header_), std::move(*ranks)});
    header_.clear();
    head_.clear();
  }
  return fences;
}

void FenceTap::Named(int fd, const PmixPeer& peer) {
  std::lock_guard lock(mutex_);
  if (auto at = connections_.find(fd); at != connections_.end()) at->second.peer = peer;
}

void FenceTap::Opened(int fd) {
  std::lock_guard lock(mutex_);
  for (auto& [tag, id] : connections_[fd].open) Leave(id);
  connections_[fd] = {};
}

void FenceTap::Received(int fd, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  auto at = connections_.find(fd);
  if (at == connections_.end()) return;
  if (bytes.empty()) {  // it has let go
    for (auto& [tag, id] : at->second.open) Leave(id);
    connections_.erase(at);
    return;
  }
  for (RequestStream::Fence& fence : at->second.requests.Feed(bytes)) {
    if (!at->second.peer) continue;
    std::uint64_t id = ++last_id_;
    at->second.open[fence.tag] = id;
    loop_.Post([this, id, peer = *at->second.peer, ranks = std::move(fence.ranks)] {
      events_.entered(id, peer, ranks);
    });
  }
}

void FenceTap::Sends(int fd, std::string_view header) {
  auto tag = TagOf(header);
  std::lock_guard lock(mutex_);
  auto at = connections_.find(fd);
  if (!tag || at == connections_.end()) return;
  auto open = at->second.open.find(*tag);
  if (open == at->second.open.end()) return;
  Leave(open->second);
  at->second.open.erase(open);
}

void FenceTap::Leave(std::uint64_t id) {
  loop_.Post([this, id] { events_.left(id); });
}

}  // namespace slipway
