// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/cgroups.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/crypto/crypto.h"
#include "base/os/cgroup.h"
#include "base/os/process.h"

namespace slipway {
namespace {

// Several brokers of one host (virtual nodes) must not meet, so the name says whose it is.
Result<std::string> BasePath(const BrokerConf& conf) {
  std::string mount = TRY(CgroupMount());
  if (!conf.cgroup.empty()) return Cat(mount, conf.cgroup[0] == '/' ? "" : "/", conf.cgroup);
  std::string own = TRY(OwnCgroup());
  std::string id = DigestOf(Cat(conf.cluster, "\n", conf.node, "\n", conf.run_dir)).substr(7, 12);
  return Cat(mount, own.substr(0, own.rfind('/')), "/slipway-", id);
}

constexpr const char* kControllers[] = {"memory", "pids", "cpu"};

// One by one: a controller that is not delegated must not take the others with it.
void EnableControllers(const std::string& path) {
  for (const char* controller : kControllers)
    [[maybe_unused]] auto enabled = WriteInto(path + "/cgroup.subtree_control", Cat("+", controller));
}

// A limit whose file is not there was announced by cannot(); one that cannot be written is an error.
Result<> Limit(const std::string& directory, const char* file, std::uint64_t value, const std::string& text) {
  std::string path = Cat(directory, "/", file);
  if (value == 0 || ::access(path.c_str(), F_OK) < 0) return {};
  return WriteInto(path, text);
}

// Controllers reach a directory only through all those above it. Those that we make we open up; what stands
// above them is systemd's or the admin's to delegate.
// Those of a cgroup that has processes wait: the kernel would give cpu and pids but not memory, and turn the
// cgroup into a threaded one, which no process can leave downwards (EOPNOTSUPP).
enum class Inhabited { kNo, kPerhaps };
Result<> MakeBase(const std::string& base, Inhabited inhabited) {
  for (std::size_t end = base.find('/', 1);; end = base.find('/', end + 1)) {
    std::string part = base.substr(0, end);
    bool made = ::mkdir(part.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) return ErrnoFail("mkdir", part);
    bool last = end == std::string::npos;
    if (last ? inhabited == Inhabited::kNo : made) EnableControllers(part);
    if (last) return {};
  }
}

// Directories alone prove nothing: a user may make them and yet not be allowed to move a process there.
Result<> ProveBirth(const std::string& base) {
  std::string probe = Cat(base, "/probe-", ::getpid());
  TRY(MakeDirectories(probe));
  auto born = [&]() -> Result<> {
    UniqueFd folder = TRY(Open(probe, O_RDONLY | O_DIRECTORY));
    Process child = TRY(Clone3({.cgroup_fd = folder.get()}));
    if (!child) ::_exit(0);
    TRY(child.Wait());
    return {};
  }();
  ::rmdir(probe.c_str());
  if (!born) ::rmdir(base.c_str());
  return born;
}

}  // namespace

CgroupTree CgroupTree::Open(const BrokerConf& conf) {
  CgroupTree tree;
  auto opened = [&]() -> Result<> {
    std::string base = TRY(BasePath(conf));
    TRY(MakeBase(base, Inhabited::kNo));
    TRY(ProveBirth(base));
    tree.base_ = base;
    return {};
  }();
  if (!opened) {
    tree.cannot_.push_back(
        Cat("processes: ", opened.error().message, "; a step's processes are ended one by one"));
    for (const char* controller : kControllers)
      tree.cannot_.push_back(Cat(controller, ": no cgroup v2 hierarchy that we may use"));
    return tree;
  }
  std::string enabled = " " + ReadFile(tree.base_ + "/cgroup.subtree_control").value_or("") + " ";
  for (char& c : enabled) c = c == '\n' ? ' ' : c;
  for (const char* controller : kControllers) {
    if (enabled.find(Cat(" ", controller, " ")) == std::string::npos)
      tree.cannot_.push_back(Cat(controller, ": no cgroup v2 controller"));
  }
  return tree;
}

Result<StepCgroup> CgroupTree::Make(const StepId& step, const StepLimits& limits) const {
  StepCgroup made;
  if (!usable()) return made;
  std::string job = JobPath(step);
  made.path = Cat(job, "/", step.step);
  auto fill = [&]() -> Result<> {
    for (const std::string& path : {job, made.path, made.path + "/tasks", made.path + "/stepd"}) {
      TRY(MakeDirectories(path));
      if (path == job || path == made.path) EnableControllers(path);
    }
    std::string tasks = made.path + "/tasks";
    TRY(Limit(tasks, "memory.max", limits.memory_bytes_max, std::to_string(limits.memory_bytes_max)));
    TRY(Limit(tasks, "pids.max", limits.pids_max, std::to_string(limits.pids_max)));
    TRY(Limit(tasks, "cpu.max", limits.cores, Cat(std::uint64_t{limits.cores} * 100000, " 100000")));
    made.tasks = TRY(slipway::Open(tasks, O_RDONLY | O_DIRECTORY));
    made.stepd = TRY(slipway::Open(made.path + "/stepd", O_RDONLY | O_DIRECTORY));
    return {};
  }();
  if (fill) return made;
  RemoveStepCgroup(made.path);
  return Failure(std::move(fill).error());
}

void CgroupTree::RemoveJob(const StepId& step) const {
  if (usable()) ::rmdir(JobPath(step).c_str());
}

Result<> KillCgroup(const std::string& path) {
  if (path.empty() || ::access(path.c_str(), F_OK) < 0) return {};
  return WriteInto(path + "/cgroup.kill", "1");
}

bool IsPopulated(const std::string& path) {
  if (path.empty()) return false;
  auto events = ReadFile(path + "/cgroup.events");
  return events && events->find("populated 1") != std::string::npos;
}

Result<UniqueFd> OpenCgroupEvents(const std::string& path) { return Open(path + "/cgroup.events", O_RDONLY); }

void RemoveStepCgroup(const std::string& path) {
  if (path.empty()) return;
  for (const char* child : {"/tasks", "/stepd", ""}) ::rmdir((path + child).c_str());
  ::rmdir(path.substr(0, path.rfind('/')).c_str());  // the job's: refused while another step is in it
}

void EndStepCgroup(const std::string& path) {
  if (path.empty()) return;
  [[maybe_unused]] auto killed = KillCgroup(path);
  auto events = OpenCgroupEvents(path);
  for (int waits = 0; events && IsPopulated(path) && waits < 100; ++waits) {
    char drained[256];  // poll tells of changes since the last read
    [[maybe_unused]] auto n = ::pread(events->get(), drained, sizeof drained, 0);
    pollfd watched{events->get(), POLLPRI, 0};
    if (IsPopulated(path)) ::poll(&watched, 1, 50);
  }
  RemoveStepCgroup(path);
}

void CgroupTree::Sweep(const std::set<std::string>& known) const {
  if (!usable()) return;
  for (const std::string& job : NamesIn(base_).value_or(std::vector<std::string>())) {
    if (!ParseStepId(job + ".0")) continue;  // not of a job: the holder's
    for (const std::string& step : NamesIn(Cat(base_, "/", job)).value_or(std::vector<std::string>())) {
      std::string path = Cat(base_, "/", job, "/", step);
      if (!known.contains(path)) EndStepCgroup(path);
    }
    ::rmdir(Cat(base_, "/", job).c_str());
  }
}

Result<> EnterHolderCgroup(const BrokerConf& conf) {
  std::string base = TRY(BasePath(conf)), path = base + "/holder";
  TRY(MakeBase(base, Inhabited::kPerhaps));
  TRY(MakeDirectories(path));
  TRY(WriteInto(path + "/cgroup.procs", "0"));
  EnableControllers(base);
  return {};
}

}  // namespace slipway
