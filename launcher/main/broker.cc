// SPDX-License-Identifier: Apache-2.0
// slipway-broker: the privileged half of a node. Joins the broker's library with the container's own code.
// --import FD, --import-as-is FD: no daemon, one image into the store; how the setuid starter imports.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "launcher/broker/broker.h"
#include "launcher/container/birth.h"

namespace slipway {
namespace {

Result<> Run(const char* config, const char* import_fd, bool as_is) {
  if (import_fd == nullptr) {
    BrokerConf conf = TRY(LoadNodeConf(config));
    return RunBroker(conf, {RunInit, [](const Birth& birth) { RunRootless(birth); }});
  }
  BrokerConf conf = TRY(LoadConf(config));
  std::string digest = TRY(ImportOnce(conf, UniqueFd(std::atoi(import_fd)), as_is));
  return WriteAll(1, digest + "\n");
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  using namespace slipway;
  SetLogOptions({.program = "slipway-broker"});
  UseCryptoWithoutSettings();
  const char *config = kStarterConf, *import_fd = nullptr;
  bool as_is = false;
  for (int i = 1; i < argc; i += 2) {
    std::string_view option = argv[i];
    as_is = as_is || option == "--import-as-is";
    if ((option != "--config" && option != "--import" && option != "--import-as-is") || i + 1 == argc) {
      std::fprintf(stderr, "usage: slipway-broker [--config FILE] [--import FD|--import-as-is FD]\n");
      return 2;
    }
    (option == "--config" ? config : import_fd) = argv[i + 1];
  }
  auto ran = Run(config, import_fd, as_is);
  if (ran) return 0;
  Log(Level::kError, ran.error().message);
  return 1;
}
