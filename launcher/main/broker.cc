// SPDX-License-Identifier: Apache-2.0
// slipway-broker [--config FILE]: joins the privileged half (launcher/broker) with the container's code,
// which may not know one another.
#include <cstdio>
#include <cstring>

#include "base/log/log.h"
#include "launcher/broker/broker.h"
#include "launcher/container/birth.h"

int main(int argc, char** argv) {
  using namespace slipway;
  SetLogOptions({.program = "slipway-broker"});
  const char* config = "/etc/slipway/starter.conf";
  if (argc == 3 && std::strcmp(argv[1], "--config") == 0) {
    config = argv[2];
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: slipway-broker [--config FILE]\n");
    return 2;
  }
  ContainerEntry entry{RunInit, RunRootless};
  auto ran = [&]() -> Result<> {
    BrokerConf conf = TRY(LoadNodeConf(config));
    return RunBroker(conf, entry);
  }();
  if (ran) return 0;
  Log(Level::kError, ran.error().message);
  return 1;
}
