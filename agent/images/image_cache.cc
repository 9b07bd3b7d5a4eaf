// SPDX-License-Identifier: Apache-2.0
#include "agent/images/image_cache.h"

#include <algorithm>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {

void ImageCache::Hold(const std::string& digest, std::uint64_t bytes, std::int64_t now_ms) {
  held_[digest] = {bytes, now_ms};
}

void ImageCache::Use(const std::string& digest, std::int64_t now_ms) {
  if (auto at = held_.find(digest); at != held_.end()) at->second.used_ms = now_ms;
}

void ImageCache::Learn(const std::string& digest, std::uint64_t bytes) {
  if (auto at = held_.find(digest); at != held_.end()) at->second.bytes = bytes;
}

void ImageCache::Reconcile(const std::vector<StoredImage>& held) {
  std::map<std::string, Entry> now;
  for (const StoredImage& image : held) {
    auto known = held_.find(image.digest);
    std::int64_t used_ms = known == held_.end() ? 0 : known->second.used_ms;
    now[image.digest] = {image.bytes, std::max(used_ms, image.used_ms)};
  }
  held_ = std::move(now);
}

std::uint64_t ImageCache::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [digest, entry] : held_) sum += entry.bytes;
  return sum;
}

std::uint64_t ImageCache::Excess(std::uint64_t coming) const {
  std::uint64_t sum = bytes() + coming;
  return sum > bytes_max_ ? sum - bytes_max_ : 0;
}

std::vector<std::string> ImageCache::Candidates(const std::set<std::string>& needed) const {
  std::vector<std::string> digests;
  for (const auto& [digest, entry] : held_)
    if (!needed.contains(digest)) digests.push_back(digest);
  std::stable_sort(digests.begin(), digests.end(), [this](const std::string& a, const std::string& b) {
    return held_.at(a).used_ms < held_.at(b).used_ms;
  });
  return digests;
}

std::string ImageCache::Encode() const {
  std::string text;
  for (const auto& [digest, entry] : held_) text += Cat(digest, " ", entry.bytes, " ", entry.used_ms, "\n");
  return text;
}

void ImageCache::Decode(std::string_view text) {
  for (const std::string& line : Split(text, '\n')) {
    auto words = Split(line, ' ');
    if (words.size() != 3 || !IsDigest(words[0])) continue;
    auto bytes = ParseNumber(words[1], 0, std::uint64_t{1} << 46);
    auto used_ms = ParseNumber(words[2], 0, std::uint64_t{1} << 62);
    if (bytes && used_ms) held_[words[0]] = {*bytes, static_cast<std::int64_t>(*used_ms)};
  }
}

}  // namespace slipway
