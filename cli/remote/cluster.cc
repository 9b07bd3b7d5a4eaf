// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/cluster.h"

#include <grpc/grpc.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/crypto/crypto.h"

namespace slipway::cli {

Result<Cluster> Cluster::Of(const Parsed& options) { return Of(TRY(FindContext(options.Value("context")))); }

Result<Cluster> Cluster::Of(const Context& context) {
  // Once more than it is let go: a command ends with its process and does not wait for gRPC's own end (4 ms).
  grpc_init();
  return Cluster(TRY(Client::Connect(context)));
}

Result<Cluster> Cluster::ForSteps(const Parsed& options) {
  Context context = TRY(FindContext(options.Value("context")));
  std::string socket = StepSocketBeside(context.token_socket);
  // To a controller on this host there is no shorter way.
  bool near = context.controller.starts_with("unix:");
  if (!near && ::access(socket.c_str(), F_OK) == 0) context.controller = "unix:" + socket;
  return Of(context);
}

Result<> Cluster::Of(const grpc::Status& status) const { return ResultOf(status, context().controller); }

// A cluster whose run folder is not there was taken down, or never was. The socket itself comes and goes
// while slipwayd is started again.
bool Cluster::MayComeBack() const {
  const std::string& address = context().controller;
  if (!address.starts_with("unix:")) return true;
  return ::access(address.substr(5, address.rfind('/') - 5).c_str(), F_OK) == 0;
}

Result<> Cluster::Persist(const std::function<Result<>()>& attempt, std::chrono::seconds patience) const {
  using std::chrono::steady_clock;
  auto deadline = steady_clock::now() + patience;
  for (int wait_ms = 20;; wait_ms = std::min(wait_ms * 2, 500)) {
    auto began = steady_clock::now();
    auto done = attempt();
    auto now = steady_clock::now();
    // A stream that had been flowing is a new trouble, not the old one.
    if (now - began > std::chrono::seconds(2)) deadline = now + patience;
    if (done || done.error().code != Code::kUnavailable || !MayComeBack() || now > deadline) return done;
    // gRPC drives a connection only while somebody waits on the channel, so a plain sleep would never see it
    // made.
    auto until = std::chrono::system_clock::now() + std::chrono::milliseconds(wait_ms);
    if (channel()->WaitForConnected(until)) ::poll(nullptr, 0, 20);
  }
}

std::chrono::seconds Patience() {
  // A batch script must not fail because the controller was away for a while.
  return std::chrono::seconds(::getenv("SLIPWAY_JOB_ID") != nullptr ? 600 : 15);
}

std::string NewRequestId() { return Hex(RandomBytes(16)); }

}  // namespace slipway::cli
