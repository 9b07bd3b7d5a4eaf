// SPDX-License-Identifier: Apache-2.0
// slipway-holder [--config FILE]: the main process of slipway-steps.service. It is started before the broker
// and must outlive it; what it holds is said in broker/holder.h.
#include <cstdio>
#include <cstring>

#include "base/log/log.h"
#include "launcher/broker/holder.h"

int main(int argc, char** argv) {
  using namespace slipway;
  SetLogOptions({.program = "slipway-holder"});
  const char* config = kStarterConf;
  if (argc == 3 && std::strcmp(argv[1], "--config") == 0) {
    config = argv[2];
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: slipway-holder [--config FILE]\n");
    return 2;
  }
  auto ran = LoadNodeConf(config).and_then(RunHolder);
  if (ran) return 0;
  Log(Level::kError, ran.error().message);
  return 1;
}
