// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/client_tap.h"

#include <algorithm>

namespace slipway {
namespace {

constexpr std::size_t kGreetingBytesMax = 4096;
constexpr std::size_t kGroupsInTheMakingMax = 64;  // of one client
constexpr unsigned kPutOffMax =
    4096;  // turns; an end that others' messages always come before is an end, too

}  // namespace

void ClientTap::Named(int fd, const PmixPeer& peer) {
  std::lock_guard lock(mutex_);
  auto at = connections_.find(fd);
  if (at == connections_.end()) return;
  at->second.peer = peer;
  auto release = ReleaseOfGreeting(at->second.greeting);
  at->second.wants_members = mends_groups_ && release && *release >= kGroupsNameMembers;
  at->second.greeting.clear();
}

void ClientTap::Finalized(const PmixPeer& peer) {
  std::lock_guard lock(mutex_);
  for (auto& [fd, connection] : connections_) connection.finalized |= connection.peer == peer;
}

void ClientTap::Opened(int fd) {
  std::lock_guard lock(mutex_);
  if (auto before = connections_.extract(fd)) End(before.mapped());
  connections_[fd] = {};
}

// A child of a rank may have come and gone in its name.
void ClientTap::End(const Connection& connection) {
  for (auto& [tag, id] : connection.open) Leave(id);
  if (!connection.peer || connection.finalized) return;
  for (auto& [fd, other] : connections_) {
    if (other.peer == connection.peer) return;
  }
  loop_.Post([this, peer = *connection.peer] { events_.lost(peer); });
}

// Who asks again does so in another turn of libpmix's loop, by when it has done what it put off in the one
// before. Where nobody was served in between, nothing is put off in this one either.
bool ClientTap::MayEnd(int fd) {
  std::lock_guard lock(mutex_);
  auto at = connections_.find(fd);
  if (at == connections_.end() || !at->second.peer || at->second.finalized) return true;
  Connection& ends = at->second;
  if (ends.put_off == kPutOffMax || (ends.put_off > 0 && ends.served_then == served_)) return true;
  ++ends.put_off;
  ends.served_then = served_;
  return false;
}

void ClientTap::Received(int fd, char* bytes, std::size_t size) {
  std::lock_guard lock(mutex_);
  ++served_;
  auto at = connections_.find(fd);
  if (at == connections_.end()) return;
  if (size == 0) {  // it has let go
    End(connections_.extract(at).mapped());
    return;
  }
  if (!events_.entered && !at->second.wants_members) return;
  // A request that comes in pieces is left as it is; those of a group's end are small.
  if (at->second.wants_members && at->second.requests.awaited() == size) PutGroupMembersLast(bytes, size);
  for (const RequestStream::Request& request : at->second.requests.Feed({bytes, size})) {
    if (at->second.peer) See(at->second, request);
  }
}

void ClientTap::See(Connection& from, const RequestStream::Request& request) {
  auto ranks = events_.entered ? FenceRanksOf(request.head) : std::nullopt;
  if (ranks) {
    std::uint64_t id = ++last_id_;
    from.open[request.tag] = id;
    loop_.Post(
        [this, id, peer = *from.peer, ranks = std::move(*ranks)] { events_.entered(id, peer, ranks); });
  } else if (from.wants_members && from.groups.size() < kGroupsInTheMakingMax) {
    if (auto members = GroupMembersOf(request.head)) from.groups[request.tag] = std::move(*members);
  }
}

void ClientTap::Greets(int fd, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  auto at = connections_.find(fd);
  if (at == connections_.end() || at->second.peer) return;
  std::string& greeting = at->second.greeting;
  greeting += bytes.substr(0, kGreetingBytesMax - std::min(kGreetingBytesMax, greeting.size()));
}

std::optional<std::string> ClientTap::Sends(int fd, std::string_view header, std::string_view payload) {
  auto tag = TagOf(header);
  std::lock_guard lock(mutex_);
  auto at = connections_.find(fd);
  if (!tag || at == connections_.end()) return std::nullopt;
  if (auto open = at->second.open.find(*tag); open != at->second.open.end()) {
    Leave(open->second);
    at->second.open.erase(open);
  }
  auto group = at->second.groups.extract(*tag);
  return group ? WithGroupMembers(header, payload, group.mapped()) : std::nullopt;
}

void ClientTap::Leave(std::uint64_t id) {
  loop_.Post([this, id] { events_.left(id); });
}

}  // namespace slipway
