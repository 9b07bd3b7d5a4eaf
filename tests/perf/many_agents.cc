// SPDX-License-Identifier: Apache-2.0
// One slipwayd and as many agents as a cluster has: each agent's own code for its stream (ControllerLink),
// with nothing behind it, all from this process. How long until all are registered, and what heartbeats cost.
//   many_agents --bin build/release/bin [--agents 1000] [--seconds 60]
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "agent/node/call_thread.h"
#include "agent/node/controller_link.h"
#include "api/lock_checks.h"
#include "api/pki.h"
#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/process.h"
#include "base/os/process_limits.h"
#include "base/os/socket.h"
#include "slipway/v1/node.pb.h"

namespace slipway {
namespace {

using std::chrono::milliseconds;

constexpr int kPort = 16821;

struct FakeAgent {
  std::unique_ptr<ControllerLink> link;
  Loop::TimerId timer;
  std::uint64_t beats = 0, heard = 0;
  bool registered = false;
};

class ManyAgents {
 public:
  ManyAgents(EpollLoop& loop, const std::string& folder, int count) : loop_(loop), agents_(count) {
    for (int i = 0; i < count; ++i) Make(folder, i);
  }
  void Open() {
    for (FakeAgent& agent : agents_) agent.link->Open();
  }
  int registered() const { return registered_; }
  std::uint64_t acks() const { return acks_; }

 private:
  void Make(const std::string& folder, int i) {
    FakeAgent& agent = agents_[static_cast<std::size_t>(i)];
    std::string node = Cat("n", i + 1);
    ControllerLink::Events events;
    events.opening = [node](v1::FromNode& first) {
      v1::Register& reg = *first.mutable_register_();
      reg.set_node(node);
      reg.set_boot_id("boot");
      reg.set_protocol(1);
      reg.mutable_facts()->set_cores(64);
      reg.mutable_facts()->set_memory_bytes(std::uint64_t{256} << 30);
      reg.mutable_facts()->set_address("127.0.0.1:1");
    };
    events.message = [this, &agent](const v1::ToNode& message) { Hear(agent, message); };
    events.lost = [this, &agent, node] {
      std::fprintf(stderr, "%s lost its stream\n", node.c_str());
      loop_.Cancel(agent.timer);
    };
    TlsFiles files{folder + "/ca.pem", Cat(folder, "/nodes/", node, ".crt"),
                   Cat(folder, "/nodes/", node, ".key")};
    agent.link =
        std::move(*ControllerLink::Make(loop_, calls_, Cat("127.0.0.1:", kPort), files, std::move(events)));
  }
  void Hear(FakeAgent& agent, const v1::ToNode& message) {
    if (message.body_case() == v1::ToNode::kHeartbeatAck) ++acks_;
    if (message.body_case() != v1::ToNode::kRegistered) return;
    if (!std::exchange(agent.registered, true)) ++registered_;
    milliseconds interval(message.registered().heartbeat_interval_ms());
    loop_.Cancel(agent.timer);
    agent.timer = loop_.After(interval, [this, &agent, interval] { Beat(agent, interval); });
  }
  void Beat(FakeAgent& agent, milliseconds interval) {
    v1::FromNode message;
    message.mutable_heartbeat()->set_sequence(++agent.beats);
    agent.link->Send(std::move(message));
    agent.timer = loop_.After(interval, [this, &agent, interval] { Beat(agent, interval); });
  }
  EpollLoop& loop_;
  CallThread calls_;
  std::vector<FakeAgent> agents_;
  int registered_ = 0;
  std::uint64_t acks_ = 0;
};

// Processor time of that process so far, seconds.
double ProcessorSeconds(pid_t pid) {
  std::string stat = ReadFile(Cat("/proc/", pid, "/stat")).value_or(std::string());
  std::istringstream rest(stat.substr(stat.rfind(')') + 1));
  std::string word;
  double user = 0, system = 0;
  for (int field = 3; field <= 13; ++field) rest >> word;
  rest >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string ResidentKib(pid_t pid) {
  std::istringstream lines(ReadFile(Cat("/proc/", pid, "/status")).value_or(std::string()));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("VmRSS:")) return line.substr(6);
  }
  return "?";
}

std::string Settings(const std::string& folder) {
  return Cat("[cluster]\nname = 'test'\nid = '", ReadClusterId(folder).value(), "'\n[tls]\nca = '", folder,
             "/ca.pem'\n[log]\nlevel = 'warn'\n[controller]\nlisten = '127.0.0.1:", kPort, "'\nstate_dir = '",
             folder, "/state'\ncert = '", folder, "/controller.crt'\nkey = '", folder,
             "/controller.key'\nsigning_key = '", folder, "/signing.key'\n");
}

void Turn(EpollLoop& loop, milliseconds at_most, const std::function<bool()>& until) {
  MonotonicTime end = loop.Now() + at_most;
  std::function<void()> look = [&] {
    if (until() || loop.Now() >= end) return loop.Stop();
    loop.After(milliseconds(5), look);
  };
  look();
  loop.Run();
}

Result<> Measure(const std::string& bin, const std::string& folder, int count, int seconds) {
  TRY(InitCluster(folder, "test"));
  for (int i = 1; i <= count; ++i) TRY(IssueNode(folder, Cat("n", i)));
  TRY(WriteFileAtomically(folder + "/slipway.toml", Settings(folder)));
  Process controller = TRY(Spawn(
      {.argv = {bin + "/slipwayd", "--config", folder + "/slipway.toml"}, .parent_death_signal = SIGKILL}));
  auto loop = TRY(EpollLoop::Make());
  {
    auto agents = std::make_unique<ManyAgents>(*loop, folder, count);
    auto since = [&](MonotonicTime begin) {
      return std::chrono::duration<double>(loop->Now() - begin).count();
    };
    MonotonicTime begin = loop->Now();
    agents->Open();
    Turn(*loop, milliseconds(60'000), [&] { return agents->registered() == count; });
    std::printf("registered: %d of %d in %.2f s, slipwayd's processor time %.2f s, resident%s\n",
                agents->registered(), count, since(begin), ProcessorSeconds(controller.pid()),
                ResidentKib(controller.pid()).c_str());
    std::fflush(stdout);
    Turn(*loop, milliseconds(5000), [] { return false; });
    double before = ProcessorSeconds(controller.pid());
    std::uint64_t acks = agents->acks();
    begin = loop->Now();
    Turn(*loop, milliseconds(1000 * seconds), [] { return false; });
    std::printf("heartbeats: %.1f a second answered, %.2f %% of a core of slipwayd\n",
                static_cast<double>(agents->acks() - acks) / since(begin),
                100 * (ProcessorSeconds(controller.pid()) - before) / since(begin));
  }
  TRY(controller.Signal(SIGTERM));
  TRY(controller.Wait());
  return {};
}

int Main(int argc, char** argv) {
  std::string bin;
  int count = 1000, seconds = 60;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--bin") == 0) bin = argv[i + 1];
    if (std::strcmp(argv[i], "--agents") == 0) count = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atoi(argv[i + 1]);
  }
  RaiseDescriptorLimit();
  ::signal(SIGPIPE, SIG_IGN);
  auto folder = MakeTempDirectory("/tmp", "slipway-many-");
  auto measured = folder ? Measure(bin, *folder, count, seconds) : Result<>(Failure(folder.error()));
  if (folder) (void)RemoveTree(*folder);
  if (!measured) std::fprintf(stderr, "%s\n", measured.error().message.c_str());
  return measured ? 0 : 1;
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  slipway::SwitchOffLockChecks();
  return slipway::Main(argc, argv);
}
