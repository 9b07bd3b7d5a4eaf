// SPDX-License-Identifier: Apache-2.0
#include "base/os/cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>

#include "base/os/fd.h"
#include "base/os/mountinfo.h"
#include "base/os/process.h"

namespace slipway {

// Where cgroup2 is mounted whole.
Result<std::string> CgroupMount() {
  std::string mountinfo = TRY(ReadFile("/proc/self/mountinfo"));
  for (const MountLine& mount : ParseMountinfo(mountinfo)) {
    if (mount.type == "cgroup2" && mount.root == "/") return std::string(mount.point);
  }
  return Fail(Code::kNotFound, "no cgroup v2 hierarchy is mounted");
}

Result<std::string> OwnCgroup() {
  std::istringstream lines(TRY(ReadFile("/proc/self/cgroup")));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::/")) return line.substr(3);
  }
  return Fail(Code::kNotFound, "this process is in no cgroup v2");
}

void EnableControllers(const std::string& path, const std::vector<std::string>& wanted) {
  std::string here = Cat(" ", ReadFile(path + "/cgroup.controllers").value_or("")), all;
  if (here.back() == '\n') here.back() = ' ';
  std::string control = path + "/cgroup.subtree_control";
  std::vector<std::string> words;
  for (const std::string& name : wanted) {
    if (here.find(Cat(" ", name, " ")) == std::string::npos) continue;
    words.push_back("+" + name);
    all += words.back() + " ";
  }
  if (words.empty() || WriteInto(control, all)) return;
  for (const std::string& word : words) [[maybe_unused]] auto enabled = WriteInto(control, word);
}

Result<> ProveBirth(const std::string& probe) {
  UniqueFd folder = TRY(Open(probe, O_RDONLY | O_DIRECTORY));
  Process child = TRY(Clone3({.cgroup_fd = folder.get()}));
  if (!child) ::_exit(0);
  TRY(child.Wait());
  return {};
}

Result<> KillCgroup(const std::string& path) {
  if (path.empty()) return {};
  return WriteInto(path + "/cgroup.kill", "1");
}

Result<> FreezeCgroup(const std::string& path, bool frozen) {
  return WriteInto(path + "/cgroup.freeze", frozen ? "1" : "0");
}

bool IsPopulated(const std::string& path) {
  if (path.empty()) return false;
  auto events = ReadFile(path + "/cgroup.events");
  return events && events->find("populated 1") != std::string::npos;
}

Result<UniqueFd> OpenCgroupEvents(const std::string& path) { return Open(path + "/cgroup.events", O_RDONLY); }

}  // namespace slipway
