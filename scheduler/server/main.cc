// SPDX-License-Identifier: Apache-2.0
// slipwayd: the controller. One configuration file, one line a log event, SIGTERM or SIGINT to end. Whatever
// kills it, what it has acknowledged is in the store and the next one goes on from there.
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "api/lock_checks.h"
#include "api/settings.h"
#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/process_limits.h"
#include "base/os/slices.h"
#include "base/os/socket.h"
#include "scheduler/server/server.h"

namespace slipway::scheduler {
namespace {

constexpr char kUsage[] =
    "usage: slipwayd [--config FILE]\n"
    "Runs Slipway's controller with the settings of FILE (default /etc/slipway/slipway.toml).\n";

Result<> Run(const std::string& config_file) {
  Config config = TRY(LoadDaemonConfig(config_file));
  ApplyLogSettings(config, "slipwayd");
  auto loop = TRY(EpollLoop::Make());
  std::unique_ptr<Server> server;
  EpollLoop* raw_loop = loop.get();
  TRY(loop->WatchSignals({SIGTERM, SIGINT}, [&server, raw_loop](int number) {
    Log(Level::kInfo, "stopping", {{"signal", number}});
    server->Stop([raw_loop] { raw_loop->Stop(); });
  }));
  ::signal(SIGPIPE, SIG_IGN);
  AskForShortSlices();
  RaiseDescriptorLimit();  // a connection from each node, and from users
  server = TRY(Server::Start(*loop, config, [](const Error& error) {
    // Nothing that waits for this commit may be answered: ending at once is what guarantees it.
    Log(Level::kError, "the store has failed; ending, a restart goes on with what was committed",
        {{"reason", error.message}});
    ::_exit(1);
  }));
  NotifyReady();
  Log(Level::kInfo, "ready", {{"port", server->port()}, {"socket", config.String("controller.socket")}});
  loop->Run();
  server.reset();
  Log(Level::kInfo, "stopped");
  return {};
}

int Main(int argc, char** argv) {
  std::string config = "/etc/slipway/slipway.toml";
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--config" && i + 1 < argc) {
      config = argv[++i];
    } else if (argument == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    } else {
      std::fputs(kUsage, stderr);
      return 2;
    }
  }
  SwitchOffLockChecks();
  SetLogOptions({.program = "slipwayd"});
  auto done = Run(config);
  if (done) return 0;
  Log(Level::kError, "cannot run", {{"reason", done.error().message}});
  return 1;
}

}  // namespace
}  // namespace slipway::scheduler

int main(int argc, char** argv) { return slipway::scheduler::Main(argc, argv); }
