// SPDX-License-Identifier: Apache-2.0
// A node for the agent's tests: the real agent, with a fake broker and fake stepds.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "agent/node/agent.h"
#include "agent/node/fakes_test.h"

namespace slipway {

// One virtual node: its broker, and its agent as often as the test wants one.
struct VirtualNode {
  VirtualNode(EpollLoop& loop, const std::string& dir, const std::string& name)
      : loop(loop), dir(dir), name(name), broker(loop, Cat(dir, "/", name, "/run"), name) {}
  void StartAgent(const std::string& controller) {
    AgentOptions options{
        .node = name,
        .controller = controller,
        .listen = "127.0.0.1:0",
        .tls = {dir + "/cluster/ca.pem", Cat(dir, "/cluster/nodes/", name, ".crt"),
                Cat(dir, "/cluster/nodes/", name, ".key")},
        .state_dir = Cat(dir, "/", name, "/state"),
        .broker_socket = broker.socket(),
        .image_cache_bytes = image_cache_bytes,
        .token_socket = Cat(dir, "/", name, "/run/token.sock"),
        .boot_id = "boot",
        .facts = {.cores = 2, .sockets = 1, .numa_nodes = 1, .memory_bytes = 1 << 30, .arch = "amd64"}};
    options.health = health;
    options.gate = gate;
    options.lease = lease;
    if (port != 0) options.listen = Cat("127.0.0.1:", port);
    auto started = Agent::Start(loop, std::move(options));
    ASSERT_TRUE(started) << started.error().message;
    agent = std::move(*started);
    port = agent->peer_port();
  }
  FakeStepd* stepd(StepId step) {
    auto at = broker.stepds.find(step);
    return at == broker.stepds.end() ? nullptr : at->second.get();
  }
  EpollLoop& loop;
  std::string dir, name;
  FakeBroker broker;
  std::unique_ptr<Agent> agent;
  int port = 0;
  std::uint64_t image_cache_bytes = 1 << 30;
  HealthOptions health;
  GateOptions gate;
  std::chrono::seconds lease{0};
};

}  // namespace slipway
