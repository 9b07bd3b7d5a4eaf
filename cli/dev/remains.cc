// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/os/fd.h"
#include "base/os/mountinfo.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/dev/prepare.h"

namespace slipway::dev {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Whoever can take the lock knows that both supervisor processes are gone.
Result<bool> IsLocked(const Layout& layout) {
  auto lock = Open(layout.lock(), O_RDWR);
  if (!lock) {
    if (lock.error().code == Code::kNotFound) return false;
    return Failure(std::move(lock).error());
  }
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return ErrnoFail("flock", layout.lock());
}

Result<pid_t> ReadPid(const std::string& path) {
  std::string text = TRY(ReadFile(path, 64));
  return static_cast<pid_t>(TRY_CONTEXT(ParseNumber(Trim(text), 1, 1 << 30), path));
}

bool WaitForEnd(const Process& process, std::chrono::seconds patience) {
  pollfd watched{process.pidfd(), POLLIN, 0};
  auto deadline = steady_clock::now() + patience;
  for (;;) {
    auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    int n = ::poll(&watched, 1, static_cast<int>(std::max<long long>(left, 0)));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

// Folders of a cgroup tree, deepest first. A cgroup folder has only folders that can be removed.
void RemoveCgroups(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr) return;
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") RemoveCgroups(Cat(path, "/", name));
  }
  ::closedir(dir);
  ::rmdir(path.c_str());
}

std::vector<std::string> CgroupMounts() {
  std::vector<std::string> points;
  auto text = ReadFile("/proc/self/mountinfo");
  if (!text) return points;
  for (const MountLine& mount : ParseMountinfo(*text)) {
    if (mount.type == "cgroup2") points.emplace_back(mount.point);
  }
  return points;
}

std::vector<std::string> FilesIn(const std::string& folder, std::string_view ending) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (dirent* entry = ::readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name.ends_with(ending)) names.emplace_back(name.substr(0, name.size() - ending.size()));
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Result<pid_t> RunningSupervisor(const Layout& layout) {
  if (!TRY(IsLocked(layout))) return 0;
  return ReadPid(layout.state + "/supervisor.pid");
}

Result<> EndSupervisor(const Layout& layout, std::chrono::seconds patience) {
  pid_t pid = TRY(RunningSupervisor(layout));
  if (pid == 0) return {};
  auto process = Process::Of(pid);
  if (process) {
    TRY(process->Signal(SIGTERM));
    if (!WaitForEnd(*process, patience)) {
      TRY(process->Signal(SIGKILL));
      WaitForEnd(*process, patience);
    }
  }
  // The inner process dies with the outer one, but not before it.
  auto deadline = steady_clock::now() + patience;
  while (TRY(IsLocked(layout))) {
    if (steady_clock::now() > deadline) {
      return Fail(Code::kDeadlineExceeded, "cluster '", layout.name,
                  "': its processes do not end (one may hang in the kernel, see ", layout.state, "/log)");
    }
    ::poll(nullptr, 0, 10);
  }
  return {};
}

Result<> RemoveRemains(const Layout& layout, bool keep_state) {
  for (const std::string& mount : CgroupMounts()) RemoveCgroups(Cat(mount, "/", layout.cgroup()));
  if (!keep_state) {
    if (::access(layout.state.c_str(), F_OK) == 0) TRY(RemoveTree(layout.state));
    // The folders above are ours, too, but other clusters and a site's daemons may be in them.
    std::string parent = layout.state;
    for (int level = 0; level < 2; ++level) ::rmdir((parent = parent.substr(0, parent.rfind('/'))).c_str());
    return {};
  }
  for (const std::string& name : FilesIn(layout.state + "/run", ".pid"))
    ::unlink(layout.pid_file(name).c_str());
  return {};
}

std::string LogTails(const Layout& layout, std::size_t lines_each) {
  std::string text;
  for (const std::string& name : FilesIn(layout.state + "/log", ".log")) {
    auto log = ReadFile(layout.log(name), 64 << 20);
    if (!log || log->empty()) continue;
    std::vector<std::string> lines = Split(Trim(*log), '\n');
    text += Cat("--- ", layout.log(name), "\n");
    for (std::size_t i = lines.size() - std::min(lines_each, lines.size()); i < lines.size(); ++i)
      text += lines[i] + "\n";
  }
  return text;
}

std::vector<std::pair<std::string, pid_t>> RecordedPids(const Layout& layout) {
  std::vector<std::pair<std::string, pid_t>> pids;
  for (const std::string& name : FilesIn(layout.state + "/run", ".pid")) {
    if (auto pid = ReadPid(layout.pid_file(name))) pids.emplace_back(name, *pid);
  }
  return pids;
}

}  // namespace slipway::dev
