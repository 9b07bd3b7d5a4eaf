// SPDX-License-Identifier: Apache-2.0
// From the start of stepd to a PMIx server that ranks may connect to: what each node of an MPI step pays
// before its first rank is born, alone on the machine, in a fresh process each time (libpmix cannot be
// started twice in one).
//
//   perf_pmix_ready NODES RANKS_PER_NODE ROUNDS STEPD
//
// Prints the medians: exec and start of the program STEPD (which ends at once, for want of options), start of
// the PMIx server with libpmix and the topology, the namespace of all ranks with the environment of the local
// ones, their sum, and what the server holds in memory then.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "agent/binding/topology.h"
#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"
#include "base/os/process.h"
#include "pmix/server/pmix_server.h"

namespace slipway {
namespace {

using Clock = std::chrono::steady_clock;

double Since_ms(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

struct Laps {
  double server_ms = 0, register_ms = 0, resident_mib = 0;
};

PmixWorld WorldOf(std::uint32_t nodes, std::uint32_t per_node) {
  PmixWorld world{.nspace = "slipway-perf", .uid = ::getuid(), .gid = ::getgid(), .session_dir = "/tmp"};
  for (std::uint32_t node = 0, rank = 0; node < nodes; ++node) {
    world.nodes.push_back(Cat("node", node));
    auto& ranks = world.ranks.emplace_back();
    while (ranks.size() < per_node) ranks.push_back(rank++);
  }
  return world;
}

double Resident_mib() {
  std::string text = ReadFile("/proc/self/statm").value_or("0 0");
  return std::strtod(text.c_str() + text.find(' '), nullptr) * 4096 / (1 << 20);
}

Result<Laps> Measure(const PmixWorld& world, const std::string& folder, const std::string& topology) {
  auto loop = TRY(EpollLoop::Make());
  Laps laps;
  auto began = Clock::now();
  auto server = TRY(PmixServer::Start(*loop, folder, world.nodes[0], world.uid, {}, topology));
  laps.server_ms = Since_ms(began);
  began = Clock::now();
  TRY(server->Register(world));
  for (std::uint32_t rank : world.ranks[0]) TRY(server->EnvironmentOf({world.nspace, rank}));
  laps.register_ms = Since_ms(began);
  laps.resident_mib = Resident_mib();
  return laps;
}

// The child says what it measured, and ends without libpmix's own end.
Result<Laps> MeasureInChild(const PmixWorld& world, const std::string& folder, const std::string& topology) {
  PipeEnds pipe = TRY(MakePipe());
  pid_t child = ::fork();
  if (child < 0) return ErrnoFail("fork");
  if (child == 0) {
    auto laps = Measure(world, folder, topology);
    if (!laps) std::fprintf(stderr, "perf_pmix_ready: %s\n", laps.error().message.c_str());
    if (laps) (void)WriteAll(pipe.write.get(), {reinterpret_cast<const char*>(&*laps), sizeof *laps});
    ::_exit(laps ? 0 : 1);
  }
  pipe.write.reset();
  std::string bytes = TRY(ReadAll(pipe.read.get(), sizeof(Laps)));
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0 || bytes.size() != sizeof(Laps)) return Fail(Code::kInternal, "the child failed");
  Laps laps;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&laps));
  return laps;
}

Result<double> StartOfProgram_ms(const char* program) {
  UniqueFd null_fd = TRY(Open("/dev/null", O_RDWR));
  auto began = Clock::now();
  Process process = TRY(Spawn({.argv = {program}, .fds = {{2, null_fd.get()}}}));
  TRY(process.Wait());
  return Since_ms(began);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Result<> Run(char** argv) {
  PmixWorld world =
      WorldOf(static_cast<std::uint32_t>(std::atoi(argv[1])), static_cast<std::uint32_t>(std::atoi(argv[2])));
  std::string topology = TRY(FindTopology()).xml;  // the agent's part, once
  std::vector<double> start, server, registering, all, resident;
  for (int round = std::atoi(argv[3]); round > 0; --round) {
    std::string folder = TRY(MakeTempDirectory("/tmp", "pmix-ready-"));
    auto laps = MeasureInChild(world, folder, topology);
    TRY(RemoveTree(folder));
    if (!laps) return Failure(laps.error());
    start.push_back(TRY(StartOfProgram_ms(argv[4])));
    server.push_back(laps->server_ms);
    registering.push_back(laps->register_ms);
    all.push_back(start.back() + laps->server_ms + laps->register_ms);
    resident.push_back(laps->resident_mib);
  }
  std::printf(
      "%s nodes x %s ranks: program %.2f + server %.2f + namespace and environments %.2f = %.2f ms, %.1f MiB "
      "resident\n",
      argv[1], argv[2], Median(start), Median(server), Median(registering), Median(all), Median(resident));
  return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: perf_pmix_ready NODES RANKS_PER_NODE ROUNDS STEPD\n");
    return 2;
  }
  auto ran = slipway::Run(argv);
  if (!ran) std::fprintf(stderr, "perf_pmix_ready: %s\n", ran.error().message.c_str());
  return ran ? 0 : 1;
}
