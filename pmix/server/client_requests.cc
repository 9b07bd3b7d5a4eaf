// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/client_requests.h"

#include <algorithm>

namespace slipway {
namespace {

// A header (pmix_ptl_hdr_t) is index, tag and size: 32 bits of each, in network order, and four bytes of
// nothing.
constexpr std::uint8_t kFenceCommand = 3, kGroupConstructCommand = 24, kGroupDestructCommand = 28;

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
  std::size_t left() const { return left_.size(); }
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

// Number and names of several ranks.
std::optional<std::vector<PmixPeer>> RanksIn(Unpacker& unpack) {
  if (unpack.Count() != 1) return std::nullopt;
  std::uint64_t count = unpack.Unsigned();
  if (unpack.Count() != count || unpack.failed() || count == 0 || count > unpack.left()) return std::nullopt;
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

// As far as it has come: whether the rest is worth keeping.
bool IsWanted(std::string_view head) {
  if (head.size() < 2) return true;
  auto command = static_cast<std::uint8_t>(head[1]);
  return command == kFenceCommand || command == kGroupConstructCommand;
}

std::optional<PmixRelease> ReleaseAt(std::string_view text) {
  std::uint32_t numbers[3] = {};
  for (int i = 0; i < 3; ++i) {
    std::size_t digits = 0;
    for (; digits < 4 && digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits)
      numbers[i] = numbers[i] * 10 + static_cast<std::uint32_t>(text[digits] - '0');
    text.remove_prefix(digits);
    bool dot = text.starts_with('.');
    if (digits == 0 || dot != (i < 2)) return std::nullopt;  // with a third dot it is a network's address
    if (dot) text.remove_prefix(1);
  }
  return PmixRelease{numbers[0], numbers[1], numbers[2]};
}

}  // namespace

std::optional<std::vector<PmixPeer>> FenceRanksOf(std::string_view payload) {
  Unpacker unpack(payload);
  if (unpack.Count() != 1 || unpack.Byte() != kFenceCommand) return std::nullopt;
  return RanksIn(unpack);
}

std::optional<std::string> GroupMembersOf(std::string_view payload) {
  Unpacker unpack(payload);
  if (unpack.Count() != 1 || unpack.Byte() != kGroupConstructCommand || unpack.Count() != 1)
    return std::nullopt;
  (void)unpack.Text();  // the group's name
  std::size_t from = payload.size() - unpack.left();
  if (!RanksIn(unpack)) return std::nullopt;
  return std::string(payload.substr(from, payload.size() - unpack.left() - from));
}

void PutGroupMembersLast(char* payload, std::size_t size) {
  Unpacker unpack({payload, size});
  if (unpack.Count() != 1 || unpack.Byte() != kGroupDestructCommand || unpack.Count() != 1) return;
  (void)unpack.Text();  // the group's name
  char* from = payload + size - unpack.left();
  if (RanksIn(unpack)) std::rotate(from, payload + size - unpack.left(), payload + size);
}

std::optional<std::uint32_t> TagOf(std::string_view header) {
  if (header.size() < kPmixHeaderBytes) return std::nullopt;
  return BigEndian(header.substr(4));
}

std::vector<RequestStream::Request> RequestStream::Feed(std::string_view bytes) {
  std::vector<Request> requests;
  while (!bytes.empty()) {
    bool in_header = header_.size() < kPmixHeaderBytes;
    std::size_t wanted = in_header ? kPmixHeaderBytes - header_.size() : payload_left_;
    std::string_view part = bytes.substr(0, wanted);
    bytes.remove_prefix(part.size());
    if (in_header) {
      header_ += part;
      if (header_.size() < kPmixHeaderBytes) break;
      payload_left_ = BigEndian(std::string_view(header_).substr(8));
    } else {
      std::size_t room = IsWanted(head_) ? kRequestHeadBytesMax : 2;
      head_ += part.substr(0, room - std::min(room, head_.size()));
      payload_left_ -= part.size();
    }
    if (payload_left_ > 0) continue;
    requests.push_back({*TagOf(header_), std::move(head_)});
    header_.clear();
    head_.clear();
  }
  return requests;
}

std::optional<PmixRelease> ReleaseIn(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (at > 0 && text[at - 1] != ' ') continue;
    if (auto release = ReleaseAt(text.substr(at))) return release;
  }
  return std::nullopt;
}

// Its name, a NUL, four bytes of its rank, and then the release.
std::optional<PmixRelease> ReleaseOfGreeting(std::string_view greeting) {
  for (std::size_t at = 5; at < greeting.size(); ++at) {
    if (greeting[at - 5] != '\0') continue;
    if (auto release = ReleaseAt(greeting.substr(at))) return release;
  }
  return std::nullopt;
}

std::optional<std::string> WithGroupMembers(std::string_view header, std::string_view payload,
                                            std::string_view members) {
  Unpacker unpack(payload);
  bool made = unpack.Count() == 1 && unpack.Unsigned() == 0 && !unpack.failed();
  if (!made || header.size() != kPmixHeaderBytes) return std::nullopt;
  std::size_t size = payload.size() + members.size(), status = payload.size() - unpack.left();
  std::string message(header);
  for (int i = 0; i < 4; ++i) message[8 + i] = static_cast<char>(size >> (24 - 8 * i));
  message += payload.substr(0, status);
  message += members;
  message += payload.substr(status);
  return message;
}

}  // namespace slipway
