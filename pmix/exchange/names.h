// SPDX-License-Identifier: Apache-2.0
// Two MPI worlds find each other by a name (MPI_Publish_name, and underneath every MPI_Comm_spawn): somebody
// must keep it. That is the directory of the job's batch step (rendezvous.h), or, in a job that is one step,
// of its first node; the other nodes ask it through the exchange. Who asks for a name that is not there yet
// may wait for it.
//
// Pure, one thread; replies run within the call that causes them.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>

#include "base/wire/wire.h"
#include "pmix/exchange/exchange.h"

namespace slipway {

// Numbers of pmix_data_range_t and pmix_persistence_t, as far as a step has them.
enum class NameRange : std::uint8_t { kNode = 2, kWorld = 3, kStep = 4, kRank = 7 };
enum class NameLife : std::uint8_t { kFirstRead = 1, kRank = 2, kWorld = 3, kStep = 4 };

struct NameRequest {
  enum Kind : std::uint8_t {
    kPublish = 1,
    kLookup = 2,
    kUnpublish = 3,
    kForget = 4,
    kForgetWorld = 5,
    kGiveUp = 6
  };
  Kind kind = kLookup;
  std::string key;    // of kForget and kForgetWorld: nothing; its publisher, or all of its world, has ended
  std::string value;  // of kPublish
  NameRange range = NameRange::kStep;
  NameLife life = NameLife::kStep;
  bool wait = false;  // of kLookup
  // Of a kLookup that may be given up, and then of kGiveUp: a number of its own among its asker's.
  std::uint64_t lookup = 0;
  // Who asks.
  std::string world;
  std::uint32_t publisher = 0, node = 0;  // its rank there
  std::uint32_t step = 0;                 // known at a rendezvous only
};
void Fields(auto& archive, IsA<NameRequest> auto& v) {
  archive(v.kind, v.key, v.value, v.range, v.life, v.wait, v.lookup, v.world, v.publisher, v.node);
}

inline constexpr std::size_t kNamesMax = 65536;
inline constexpr std::size_t kNameBytesMax = 64 << 20;  // of all names and values together

class NameDirectory {
 public:
  // The answer of a lookup is the value. kAlreadyExists, kNotFound, kResourceExhausted.
  void Handle(NameRequest request, Exchange::Reply reply);
  // All its ranks have ended: names that were to live as long as it are no more.
  void ForgetWorld(const std::string& world);
  // A step has ended on a node: what was published there is no more, and nobody there waits.
  void ForgetStepd(std::uint32_t step, std::uint32_t node);

 private:
  struct Waiter {
    NameRequest request;
    Exchange::Reply reply;
  };
  static bool Sees(const NameRequest& asker, const NameRequest& name);
  std::list<NameRequest>::iterator Seen(const NameRequest& asker);
  void Publish(NameRequest request, const Exchange::Reply& reply);
  void Lookup(NameRequest request, Exchange::Reply reply);
  void Unpublish(const NameRequest& request, const Exchange::Reply& reply);
  void Forget(const NameRequest& request);
  void StopWaiting(const std::function<bool(const NameRequest& waits)>& who, const char* why);
  void Remove(std::list<NameRequest>::iterator at);

  std::list<NameRequest> names_;
  std::list<Waiter> waiters_;
  std::size_t bytes_ = 0;
};

}  // namespace slipway
