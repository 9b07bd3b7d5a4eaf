// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/cluster.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "base/crypto/crypto.h"

namespace slipway::cli {

Result<Cluster> Cluster::Of(const Parsed& options) { return Of(TRY(FindContext(options.Value("context")))); }

Result<Cluster> Cluster::Of(const Context& context) { return Cluster(TRY(Client::Connect(context))); }

Result<> Cluster::Of(const grpc::Status& status) const { return ResultOf(status, context().controller); }

// A cluster whose sockets are not there was taken down, or never was.
bool Cluster::MayComeBack() const {
  const std::string& address = context().controller;
  if (!address.starts_with("unix:")) return true;
  return ::access(address.c_str() + 5, F_OK) == 0;
}

Result<> Cluster::Persist(const std::function<Result<>()>& attempt) const {
  using std::chrono::steady_clock;
  auto deadline = steady_clock::now() + std::chrono::seconds(15);
  for (int wait_ms = 20;; wait_ms = std::min(wait_ms * 2, 500)) {
    auto done = attempt();
    if (done || done.error().code != Code::kUnavailable || !MayComeBack() || steady_clock::now() > deadline)
      return done;
    ::poll(nullptr, 0, wait_ms);
  }
}

std::string NewRequestId() { return Hex(RandomBytes(16)); }

}  // namespace slipway::cli
