// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/cgroups.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/crypto/crypto.h"
#include "base/os/process.h"
#include "base/text/text.h"

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

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// Controllers reach a directory only through all those above it. Those that we make we open up; what stands
// above them is systemd's or the admin's to delegate.
// Those of a cgroup that has processes wait: the kernel would give cpu and pids but not memory, and turn the
// cgroup into a threaded one, which no process can leave downwards (EOPNOTSUPP).
Result<> MakeBase(const std::string& base, bool inhabited) {
  for (std::size_t end = base.find('/', 1);; end = base.find('/', end + 1)) {
    std::string part = base.substr(0, end);
    bool made = ::mkdir(part.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) return ErrnoFail("mkdir", part);
    bool last = end == std::string::npos;
    if (last ? !inhabited : made) EnableControllers(part, CgroupControllerNames());
    if (last) return {};
  }
}

// Not with those above it: whoever took BASE away took its controllers, too.
Result<> MakeOne(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return ErrnoFail("another program has taken away the cgroup above", path);
}

}  // namespace

bool CgroupTree::Announced(std::string_view name) const {
  for (const std::string& what : cannot_) {
    if (what.starts_with(Cat(name, ":")) || what.starts_with(Cat(name.substr(0, name.find('.')), ":")))
      return true;
  }
  return false;
}

void CgroupTree::FindWhatIsMissing(const std::string& probe) {
  for (const CgroupController& controller : kCgroupControllers) {
    if (!Exists(Cat(probe, "/", controller.file)))
      cannot_.push_back(Cat(controller.name, ": no cgroup v2 controller"));
  }
  for (const char* file : kCgroupFurther) {
    if (!Announced(file) && !Exists(Cat(probe, "/", file)))
      cannot_.push_back(Cat(file, ": this kernel has no such limit"));
  }
  auto folder = slipway::Open(probe, O_RDONLY | O_DIRECTORY);
  auto attached = folder ? device_policies_.Attach(folder->get(), UsualDevices())
                         : Result<>(Failure(std::move(folder).error()));
  if (!attached) cannot_.push_back(Cat("devices: ", attached.error().message));
}

CgroupTree CgroupTree::Open(const BrokerConf& conf) {
  CgroupTree tree;
  auto opened = [&]() -> Result<> {
    std::string base = TRY(BasePath(conf)), probe = Cat(base, "/probe-", ::getpid());
    TRY(MakeBase(base, false));
    TRY(MakeDirectories(probe));
    auto born = ProveBirth(probe);
    if (born) tree.FindWhatIsMissing(probe);
    ::rmdir(probe.c_str());
    if (!born) ::rmdir(base.c_str());
    if (born) tree.base_ = base;
    return born;
  }();
  if (opened) return tree;
  tree.cannot_.push_back(
      Cat("processes: ", opened.error().message, "; a step's processes are ended one by one"));
  for (const CgroupController& controller : kCgroupControllers)
    tree.cannot_.push_back(Cat(controller.name, ": no cgroup v2 hierarchy that we may use"));
  tree.cannot_.push_back("devices: no cgroup v2 hierarchy that we may use");
  return tree;
}

Result<> CgroupTree::Limit(const std::string& directory, const CgroupSetting& setting) const {
  std::string path = Cat(directory, "/", setting.file);
  if (Exists(path)) return WriteInto(path, setting.value);
  if (Announced(setting.file)) return {};
  return Fail(Code::kFailedPrecondition, path,
              " is not there: another program has taken the controller away, or ",
              "this kernel has no such limit; once that is mended, restart slipway-broker");
}

// Ranks that the kernel refuses others' devices live below tasks; their user must be able to be born there.
Result<> CgroupTree::Allow(StepCgroup& made, const StepDevices& devices, uid_t owner) const {
  if (Announced("devices")) return {};
  auto allow = [this](int folder, std::vector<DeviceRule> rules) {
    for (const DeviceRule& usual : UsualDevices()) rules.push_back(usual);
    return device_policies_.Attach(folder, rules);
  };
  std::vector<DeviceRule> all = devices.of_step;
  for (const auto& own : devices.of_tasks) all.insert(all.end(), own.begin(), own.end());
  TRY(allow(made.tasks.get(), all));
  std::string tasks = made.path + "/tasks";
  auto give = [owner](const std::string& path) -> Result<> {
    return ::chown(path.c_str(), owner, -1) < 0 ? ErrnoFail("chown", path) : Result<>();
  };
  if (!devices.of_tasks.empty()) TRY(give(tasks + "/cgroup.procs"));
  for (const auto& own : devices.of_tasks) {
    std::string path = Cat(tasks, "/", made.of_tasks.size());
    TRY(MakeOne(path));
    made.of_tasks.push_back(TRY(slipway::Open(path, O_RDONLY | O_DIRECTORY)));
    TRY(allow(made.of_tasks.back().get(), own));
    TRY(give(path + "/cgroup.procs"));
  }
  return {};
}

Result<StepCgroup> CgroupTree::Make(const StepId& step, const StepLimits& limits, const StepDevices& devices,
                                    uid_t owner) const {
  StepCgroup made;
  if (!usable()) return made;
  std::string job = JobPath(step);
  made.path = Cat(job, "/", step.step);
  auto fill = [&]() -> Result<> {
    for (const std::string& path : {job, made.path, made.path + "/tasks", made.path + "/stepd"}) {
      TRY(MakeOne(path));
      if (path == job || path == made.path) EnableControllers(path, CgroupControllerNames());
    }
    for (const CgroupSetting& setting : limits.cgroup)
      TRY(Limit(setting.level == CgroupSetting::kJob ? job : made.path + "/tasks", setting));
    made.tasks = TRY(slipway::Open(made.path + "/tasks", O_RDONLY | O_DIRECTORY));
    made.stepd = TRY(slipway::Open(made.path + "/stepd", O_RDONLY | O_DIRECTORY));
    return Allow(made, devices, owner);
  }();
  if (fill) return made;
  RemoveStepCgroup(made.path);
  return Failure(std::move(fill).error());
}

void CgroupTree::RemoveJob(const StepId& step) const {
  if (usable()) ::rmdir(JobPath(step).c_str());
}

void RemoveStepCgroup(const std::string& path) {
  if (path.empty()) return;
  std::vector<std::string> inside;  // where ranks have cgroups of their own, and the kernel's files
  if (::rmdir((path + "/tasks").c_str()) < 0) inside = NamesIn(path + "/tasks").value_or(inside);
  for (const std::string& child : inside) ::rmdir(Cat(path, "/tasks/", child).c_str());
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
  TRY(MakeBase(base, true));
  TRY(MakeDirectories(path));
  TRY(WriteInto(path + "/cgroup.procs", "0"));
  EnableControllers(base, CgroupControllerNames());
  return {};
}

}  // namespace slipway
