// SPDX-License-Identifier: Apache-2.0
// slipway-agent --config FILE [--check]
#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "agent/health/host_check.h"
#include "agent/meter/node_energy.h"
#include "agent/node/agent.h"
#include "api/lock_checks.h"
#include "api/settings.h"
#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/slices.h"
#include "base/os/socket.h"
#include "base/text/text.h"

namespace slipway {
namespace {

// False: it is to be run once more, by an agent that looks at its host anew.
Result<bool> Run(const std::string& config_file) {
  Config config = TRY(LoadDaemonConfig(config_file));
  ApplyLogSettings(config, "slipway-agent");
  auto loop = TRY(EpollLoop::Make());
  TRY(loop->WatchSignals({SIGTERM, SIGINT}, [&](int) { loop->Stop(); }));
  ::signal(SIGPIPE, SIG_IGN);
  AskForShortSlices();
  AgentOptions options = TRY(AgentOptionsOf(config));
  Log(Level::kInfo, "starting",
      {{"node", options.node},
       {"cores", options.facts.cores},
       {"memory_bytes", options.facts.memory_bytes},
       {"gpus", options.devices.units.size()},
       {"fabrics", Join(options.devices.fabric_names, ",")}});
  for (const std::string& note : options.devices.gpus.inventory.notes) Log(Level::kWarn, note);
  bool done = true;
  options.begin_anew = [&] {
    done = false;
    loop->Stop();
  };
  auto agent = TRY(Agent::Start(*loop, std::move(options)));
  NotifyReady();
  loop->Run();
  Log(Level::kInfo, done ? "ending; the steps run on" : "beginning anew");
  return done;
}

HostFinding EnergyFinding() {
  auto host = HostTree::At("/");
  if (!host) return {HostFinding::kWarning, Cat("energy is not counted: ", host.error().message), {}};
  std::string why = NodeEnergy(std::move(*host)).why_not();
  if (why.empty()) return {HostFinding::kGood, "energy: RAPL's counters can be read", {}};
  return {HostFinding::kGood, std::move(why), {}};
}

constexpr int kOwnMappingFromBytes = 256 << 10;

// 0: it can be a node; 1: not yet; 2: the settings cannot be read.
int Check(const std::string& config_file) {
  auto config = LoadDaemonConfig(config_file);
  if (!config) {
    std::fprintf(stderr, "slipway-agent: %s\n", config.error().message.c_str());
    return 2;
  }
  std::vector<HostFinding> findings =
      CheckHost({{}, config->String("agent.state_dir"), config->String("agent.broker_socket")});
  findings.push_back(EnergyFinding());
  std::fputs(Show(findings).c_str(), stdout);
  return AllGood(findings) ? 0 : 1;
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  bool check = argc == 4 && std::string_view(argv[3]) == "--check";
  if ((argc != 3 && !check) || std::string_view(argv[1]) != "--config") {
    std::fputs(
        "usage: slipway-agent --config FILE           runs the node's agent\n"
        "       slipway-agent --config FILE --check   says what this host can and cannot do, and how to mend "
        "it\n",
        stderr);
    return 2;
  }
  // gRPC's and the fetch's threads would each keep a heap of their own as large as it ever was.
  ::mallopt(M_ARENA_MAX, 2);
  // A fetch's pieces go back to the kernel at once: by itself the C library would learn from the first of
  // them to keep the others in its heaps, in whose gaps they stay resident.
  ::mallopt(M_MMAP_THRESHOLD, slipway::kOwnMappingFromBytes);
  ::mallopt(M_TRIM_THRESHOLD, slipway::kOwnMappingFromBytes);
  slipway::SwitchOffLockChecks();
  if (check) return slipway::Check(argv[2]);
  auto ran = slipway::Run(argv[2]);
  // As the same process: its unit notices nothing, and no thread of before is left.
  if (ran && !*ran) ran = (::execv("/proc/self/exe", argv), slipway::ErrnoFail("execv", argv[0]));
  if (ran) return 0;
  std::fprintf(stderr, "slipway-agent: %s\n", ran.error().message.c_str());
  return 1;
}
