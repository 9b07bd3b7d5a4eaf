// SPDX-License-Identifier: Apache-2.0
// What the clients of libpmix send, as far as the host has to know it although libpmix does not say: who asks
// for a fence, and of which members a group is (client_tap.h has why). And what one answer of libpmix lacks.
//
// Pure, and bounded whatever a client sends. What is not understood (a client that packs integers another
// way, PMIx 3 and before) is nothing that is asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pmix/server/pmix_server.h"

namespace slipway {

inline constexpr std::size_t kRequestHeadBytesMax = 1 << 20;  // of a longer one the members are not read
inline constexpr std::size_t kPmixHeaderBytes = 16;

// The ranks that a request names, if it is one for a fence; `payload` may be cut off behind them.
std::optional<std::vector<PmixPeer>> FenceRanksOf(std::string_view payload);
// The members as they stand in a request to make a group, if it is one: their number, and they.
std::optional<std::string> GroupMembersOf(std::string_view payload);

// What one client sends after its greeting, in pieces of any size.
class RequestStream {
 public:
  struct Request {
    std::uint32_t tag = 0;  // the answer has it too
    std::string head;       // of its payload; little of what is neither for a fence nor for a group
  };
  std::vector<Request> Feed(std::string_view bytes);
  std::size_t awaited() const {
    return head_.empty() ? payload_left_ : 0;
  }  // of a payload of which nothing has come

 private:
  std::string header_, head_;
  std::size_t payload_left_ = 0;
};
// Of a message's header; nothing of fewer bytes.
std::optional<std::uint32_t> TagOf(std::string_view header);

struct PmixRelease {
  std::uint32_t major = 0, minor = 0, patch = 0;
  auto operator<=>(const PmixRelease&) const = default;
};
std::optional<PmixRelease> ReleaseIn(std::string_view text);  // as a word of its own: PMIx_Get_version's
std::optional<PmixRelease> ReleaseOfGreeting(std::string_view greeting);  // a client's
// Since then the answer to who makes a group names its members, and so does the request to take one apart; a
// client that is as new does not understand a server that is not, nor the other way round.
inline constexpr PmixRelease kGroupsNameMembers{4, 2, 4};
// The message with them, if it is the answer that a group was made.
std::optional<std::string> WithGroupMembers(std::string_view header, std::string_view payload,
                                            std::string_view members);
// Where it is the request to take a group apart: the members behind all else, where an older server reads no
// more.
void PutGroupMembersLast(char* payload, std::size_t size);

}  // namespace slipway
