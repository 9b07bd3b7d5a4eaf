// SPDX-License-Identifier: Apache-2.0
// slipway dev up | down | status: a cluster of virtual nodes on this machine.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/log/log.h"
#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/os/program.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/dev/prepare.h"
#include "cli/dev/supervisor.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/progress.h"
#include "cli/show/table.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::cli {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

Option NameOption() {
  return {
      .name = "name", .type = Option::kString, .value_name = "NAME", .help = "which cluster; default: dev"};
}

std::vector<Option> ShapeOptions() {
  return {NameOption(),
          {.name = "nodes",
           .letter = 'N',
           .type = Option::kString,
           .value_name = "N",
           .help = "how many virtual nodes; default: 2"},
          {.name = "cores",
           .letter = 'c',
           .type = Option::kString,
           .value_name = "N",
           .help = "cores that each node offers; default: this machine's"},
          {.name = "memory",
           .letter = 'm',
           .type = Option::kString,
           .value_name = "SIZE",
           .help = "memory that each node offers; default: this machine's"},
          {.name = "share",
           .type = Option::kList,
           .value_name = "DIR",
           .help = "a folder under /tmp that nodes see, too",
           .complete = "dir"},
          {.name = "host-tree",
           .type = Option::kString,
           .value_name = "DIR",
           .help = "take the devices of a recorded host's tree for the node's",
           .complete = "dir",
           .hidden = true},
          {.name = "no-daemons", .help = "namespaces only", .hidden = true}};
}

Command DeclareUp() {
  return {
      .name = "slipway dev up",
      .summary = "make a cluster of virtual nodes on this machine",
      .examples = {{"slipway dev up --nodes 4", "then `slipway nodes`, `slipway launch -N4 …`"},
                   {"slipway dev up --nodes 2 --cores 8 --name test", "beside another one"}},
      .options = ShapeOptions(),
      .notes =
          "As root, jobs run as the accounts of this machine; otherwise all of the cluster runs as the "
          "caller. Nodes have host\n"
          "names, addresses, /tmp and /dev/shm of their own; /home is this machine's.\n"
          "Where systemd runs the machine, it is asked for a cgroup: the limits of jobs hold as far as it "
          "delegates them\n"
          "to the caller, whose cluster ends with his last session unless he lingers (loginctl "
          "enable-linger)."};
}

Result<dev::Options> OptionsOf(const Parsed& options) {
  dev::Options shape;
  shape.name = options.Value("name", "dev");
  if (options.Has("nodes"))
    shape.nodes =
        static_cast<unsigned>(TRY_CONTEXT(ParseNumber(options.Value("nodes"), 1, dev::kNodesMax), "--nodes"));
  if (options.Has("cores"))
    shape.cores =
        static_cast<unsigned>(TRY_CONTEXT(ParseNumber(options.Value("cores"), 1, 65536), "--cores"));
  if (options.Has("memory"))
    shape.memory_bytes = TRY_CONTEXT(ParseBytes(options.Value("memory"), 1 << 20), "--memory");
  shape.share = options.List("share");
  shape.host_tree = options.Value("host-tree");
  shape.daemons = !options.Has("no-daemons");
  return shape;
}

// The words that give the supervisor the same options.
std::vector<std::string> SupervisorWords(const dev::Options& shape, const std::string& own_path) {
  std::vector<std::string> words = {own_path,   "dev",     "supervise",     "--name",
                                    shape.name, "--nodes", Cat(shape.nodes)};
  if (!shape.daemons) words.push_back("--no-daemons");
  for (const std::string& folder : shape.share) words.insert(words.end(), {"--share", folder});
  return words;
}

Result<> StartSupervisor(const dev::Layout& layout, const dev::Options& shape, const std::string& own_path) {
  UniqueFd log = TRY(Open(layout.log("supervisor"), O_WRONLY | O_CREAT | O_APPEND, 0644));
  UniqueFd nothing = TRY(Open("/dev/null", O_RDONLY));
  PipeEnds report = TRY(MakePipe());
  SpawnOptions spawn;
  spawn.argv = SupervisorWords(shape, own_path);
  spawn.fds = {{0, nothing.get()}, {1, log.get()}, {2, log.get()}, {3, report.write.get()}};
  spawn.cwd = "/";
  spawn.new_session = true;
  TRY(Spawn(spawn));
  report.write.reset();
  std::string said = TRY(ReadAll(report.read.get(), 4096));
  if (said == "ok") return {};
  return Fail(Code::kFailedPrecondition,
              said.empty() ? Cat("the supervisor died; see ", layout.log("supervisor")) : said);
}

// All nodes registered, asked until a deadline that grows while one after the other comes.
Result<> WaitForNodes(const dev::Layout& layout, unsigned nodes) {
  Context context = TRY(ReadContext(layout.context()));
  Progress progress("nodes");
  auto deadline = steady_clock::now() + seconds(30);
  unsigned up = 0;
  std::string last = "slipwayd did not answer";
  while (steady_clock::now() < deadline) {
    if (TRY(dev::RunningSupervisor(layout)) == 0)
      return Fail(Code::kUnavailable, "the supervisor died; see ", layout.log("supervisor"));
    auto ask = [&]() -> Result<unsigned> {
      Client client = TRY(Client::Connect(context));
      auto stub = v1::Nodes::NewStub(client.channel());
      grpc::ClientContext call;
      call.set_deadline(std::chrono::system_clock::now() + seconds(5));
      TRY(client.Authorize(call));
      v1::ListNodesReply reply;
      TRY(ResultOf(stub->List(&call, v1::ListNodesRequest(), &reply)));
      unsigned count = 0;
      for (const v1::Node& node : reply.nodes()) count += node.state() == "UP" ? 1 : 0;
      return count;
    };
    auto count = ask();
    if (!count) last = count.error().message;
    if (count && *count >= nodes) return {};
    if (count && *count > up) {
      up = *count;
      deadline = steady_clock::now() + seconds(30);
    }
    if (count) last = Cat(*count, " of ", nodes, " nodes are up");
    progress.Say(last);
    ::poll(nullptr, 0, 50);
  }
  return Fail(Code::kDeadlineExceeded, last);
}

// Who ran us by sudo gets the context as well, as himself.
void SetContextOfSudoUser(const Context& context) {
  const char* uid_text = ::getenv("SUDO_UID");
  const char* gid_text = ::getenv("SUDO_GID");
  if (::geteuid() != 0 || uid_text == nullptr || gid_text == nullptr) return;
  auto uid = ParseNumber(uid_text, 1, UINT32_MAX - 1), gid = ParseNumber(gid_text, 0, UINT32_MAX - 1);
  auto passwd = ReadFile("/etc/passwd");
  if (!uid || !gid || !passwd) return;
  std::string home;
  for (const std::string& line : Split(*passwd, '\n')) {
    auto fields = Split(line, ':');
    if (fields.size() >= 6 && fields[2] == uid_text) home = fields[5];
  }
  if (home.empty()) return;
  auto child = Clone3({});
  if (!child) return;
  if (!*child) {
    if (::setresgid(*gid, *gid, *gid) < 0 || ::setresuid(*uid, *uid, *uid) < 0) ::_exit(1);
    ::setenv("HOME", home.c_str(), 1);
    ::unsetenv("XDG_CONFIG_HOME");
    ::_exit(SetUserContext(context) ? 0 : 1);
  }
  [[maybe_unused]] auto waited = child->Wait();
}

Result<> AlreadyUp(const dev::Layout& layout, const dev::Options& shape) {
  (void)shape;
  Print(Cat("cluster '", layout.name, "' is running already; `slipway dev status --name ", layout.name,
            "` shows it\n"));
  return {};
}

Result<> BringUp(const dev::Layout& layout, dev::Options& shape) {
  std::string own_path = TRY(OwnProgram());
  shape.share.push_back(layout.state);
  if (const char* home = ::getenv("HOME"); home != nullptr && home[0] == '/' && ::access(home, F_OK) == 0)
    shape.share.push_back(home);
  TRY(dev::Prepare(layout, shape, dev::IdentitiesOfCaller(), own_path));
  TRY(StartSupervisor(layout, shape, own_path));
  if (!shape.daemons) return {};
  if (auto up = WaitForNodes(layout, shape.nodes); !up) {
    [[maybe_unused]] auto shown = WriteAll(2, dev::LogTails(layout, 15));
    return Failure(std::move(up).error().Context(Cat("cluster '", layout.name, "' did not come up")));
  }
  Context context = TRY(ReadContext(layout.context()));
  TRY(SetUserContext(context));
  SetContextOfSudoUser(context);
  return {};
}

Result<int> Up(const Parsed& options) {
  auto shape = OptionsOf(options);
  if (!shape) return UsageExit(shape.error());
  auto layout = dev::LayoutOf(shape->name);
  if (!layout) return UsageExit(layout.error());
  if (TRY(dev::RunningSupervisor(*layout)) != 0) {
    TRY(AlreadyUp(*layout, *shape));
    return 0;
  }
  bool kept = ::access(layout->cluster().c_str(), F_OK) == 0;
  auto up = BringUp(*layout, *shape);
  if (!up) {
    [[maybe_unused]] auto ended = dev::EndSupervisor(*layout, seconds(15));
    [[maybe_unused]] auto removed = dev::RemoveRemains(*layout, kept);
    return Failure(std::move(up).error());
  }
  std::string text = Cat("cluster '", layout->name, "': ", shape->nodes,
                         shape->nodes == 1 ? " node is up\n" : " nodes are up\n");
  if (::geteuid() == 0) text += Cat("other users reach it by: slipway --context ", layout->context(), " …\n");
  Print(text +
        Cat("end it with: slipway dev down", layout->name == "dev" ? "" : " --name " + layout->name, "\n"));
  return 0;
}

Command DeclareDown() {
  return {.name = "slipway dev down",
          .summary = "end a cluster that `dev up` made, and all that runs on it",
          .examples = {{"slipway dev down", "nothing of it is left"},
                       {"slipway dev down --keep", "but its jobs and images, for the next `dev up`"}},
          .options = {NameOption(), {.name = "keep", .help = "keep its folder: jobs, images, logs"}}};
}

Result<int> Down(const Parsed& options) {
  auto layout = dev::LayoutOf(options.Value("name", "dev"));
  if (!layout) return UsageExit(layout.error());
  bool there = ::access(layout->state.c_str(), F_OK) == 0;
  TRY(dev::EndSupervisor(*layout, seconds(15)));
  TRY(dev::RemoveRemains(*layout, options.Has("keep")));
  TRY(RemoveUserContext(layout->name));
  Print(there ? Cat("cluster '", layout->name, "' is down\n")
              : Cat("there is no cluster '", layout->name, "'\n"));
  return 0;
}

Command DeclareStatus() {
  return {.name = "slipway dev status",
          .summary = "show a cluster that `dev up` made: its daemons and where it lies",
          .examples = {{"slipway dev status", "the table"}, {"slipway dev status --json", "for programs"}},
          .options = {NameOption(), JsonOption()}};
}

Result<int> Status(const Parsed& options) {
  auto layout = dev::LayoutOf(options.Value("name", "dev"));
  if (!layout) return UsageExit(layout.error());
  pid_t supervisor = TRY(dev::RunningSupervisor(*layout));
  auto pids = dev::RecordedPids(*layout);
  bool running = supervisor != 0;
  if (options.Has("json")) {
    nlohmann::ordered_json daemons = nlohmann::ordered_json::array();
    for (auto& [name, pid] : pids)
      daemons.push_back({{"name", name},
                         {"pid", pid},
                         {"running", running && ::access(Cat("/proc/", pid).c_str(), F_OK) == 0}});
    nlohmann::ordered_json json = {{"name", layout->name},         {"running", running},
                                   {"state", layout->state},       {"context", layout->context()},
                                   {"supervisor_pid", supervisor}, {"daemons", daemons}};
    Print(json.dump(2) + "\n");
    return running ? 0 : kRefused;
  }
  if (!running) {
    Print(Cat("cluster '", layout->name, "' is not running\n"));
    return kRefused;
  }
  Table table({{"DAEMON"}, {"PID", true}, {"STATE"}, {"LOG"}});
  for (auto& [name, pid] : pids)
    table.Add({name, Cat(pid), ::access(Cat("/proc/", pid).c_str(), F_OK) == 0 ? "running" : "dead",
               layout->log(name)});
  Print(Cat("cluster '", layout->name, "' in ", layout->state, "\ncontext ", layout->context(), "\n\n",
            table.Text(WantsColour(1))));
  return 0;
}

Command DeclareSupervise() {
  return {.name = "slipway dev supervise",
          .summary = "the process behind a cluster (started by dev up)",
          .options = ShapeOptions()};
}

Result<int> RunSupervisor(const Parsed& options) {
  SetLogOptions({.program = "supervisor"});
  UniqueFd report(3);
  TRY(SetCloexec(report.get(), true));
  dev::Options shape = TRY(OptionsOf(options));
  dev::Layout layout = TRY(dev::LayoutOf(shape.name));
  TRY(dev::Supervise(layout, shape, dev::IdentitiesOfCaller(), std::move(report)));
  return 0;
}

}  // namespace

const Subcommand kDevUp{{"dev", "up"}, DeclareUp, Up}, kDevDown{{"dev", "down"}, DeclareDown, Down},
    kDevStatus{{"dev", "status"}, DeclareStatus, Status},
    kDevSupervise{{"dev", "supervise"}, DeclareSupervise, RunSupervisor, 1, true};

}  // namespace slipway::cli
