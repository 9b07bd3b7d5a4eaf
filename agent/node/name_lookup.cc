// SPDX-License-Identifier: Apache-2.0
#include "agent/node/name_lookup.h"

#include <mutex>
#include <thread>

namespace slipway {

struct NameLookup::Shared {
  std::mutex mutex;
  Loop* loop = nullptr;  // null: nobody wants it any more, and the loop may be gone
  Done done;
};

NameLookup::NameLookup(Loop& loop, const std::string& where, Done done) {
  auto number = TcpAddressesOf(where, HostNames::kNumbersOnly);
  if (number) {
    done(std::move(number));
    return;
  }
  shared_ = std::make_shared<Shared>();
  shared_->loop = &loop;
  shared_->done = std::move(done);
  std::thread([shared = shared_, where] {
    auto found = TcpAddressesOf(where, HostNames::kLookUp);
    std::lock_guard lock(shared->mutex);
    if (shared->loop == nullptr) return;
    shared->loop->Post([shared, found = std::move(found)]() mutable {
      // Only the loop's thread takes it away, so that it needs no lock here.
      if (shared->loop != nullptr) shared->done(std::move(found));
    });
  }).detach();
}

NameLookup::~NameLookup() {
  if (!shared_) return;
  std::lock_guard lock(shared_->mutex);
  shared_->loop = nullptr;
}

}  // namespace slipway
