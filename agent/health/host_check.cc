// SPDX-License-Identifier: Apache-2.0
#include "agent/health/host_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/os/fd.h"
#include "base/os/mountinfo.h"
#include "base/text/text.h"

namespace slipway {
namespace {

using Kind = HostFinding::Kind;

// slipway-broker.service points it there where that can be opened; slipway-agent.service reads what it points
// to.
constexpr std::string_view kHandedOverLog = "/run/slipway/kernel-log", kKernelLog = "/dev/kmsg";

class Checker {
 public:
  explicit Checker(const HostPaths& paths) : paths_(paths) {}

  void UserNamespaces() {
    std::string most(Trim(Read("/proc/sys/user/max_user_namespaces")));
    std::string clone(Trim(Read("/proc/sys/kernel/unprivileged_userns_clone")));
    if (most.empty() || most == "0")
      Add(Kind::kBad, "user namespaces: none may be made", "sysctl -w user.max_user_namespaces=65536");
    else
      Add(Kind::kGood, Cat("user namespaces: ", most, " may be made"));
    if (clone == "0")
      Add(Kind::kWarning,
          "user namespaces: only root may make them; the rootless way of `slipway exec` cannot",
          "sysctl -w kernel.unprivileged_userns_clone=1");
  }

  void Fuse() {
    struct stat status;
    if (::stat((paths_.root + "/dev/fuse").c_str(), &status) < 0)
      Add(Kind::kWarning, "/dev/fuse: not there; users' own image files and ext3 overlays cannot be mounted",
          "modprobe fuse");
    else if ((status.st_mode & 0006) != 0006)
      Add(Kind::kWarning, "/dev/fuse: users may not open it", "chmod 666 /dev/fuse (udev does so by itself)");
    else
      Add(Kind::kGood, "/dev/fuse: everybody may open it");
  }

  void FileSystems() {
    std::string known = Read("/proc/filesystems");
    for (auto [type, module] :
         {std::pair{"squashfs", "squashfs/squashfs"}, {"overlay", "overlayfs/overlay"}}) {
      if (known.find(Cat("\t", type, "\n")) != known.npos)
        Add(Kind::kGood, Cat(type, ": the kernel has it"));
      else if (HasModule(Cat("fs/", module)))
        Add(Kind::kGood, Cat(type, ": the kernel loads it with the first mount"));
      else
        Add(Kind::kBad, Cat(type, ": the kernel does not have it"),
            Cat("a kernel with ", type, ", or its modules: modprobe ", type));
    }
    struct stat status;
    if (::stat((paths_.root + "/dev/loop-control").c_str(), &status) < 0)
      Add(Kind::kBad, "loop devices: /dev/loop-control is not there; images cannot be mounted",
          "modprobe loop");
    else
      Add(Kind::kGood, "loop devices: there");
  }

  void Cgroups() {
    std::string point = CgroupPoint();
    if (point.empty())
      return Add(Kind::kWarning,
                 "cgroups: no version 2 hierarchy; steps are ended process by process and no limit holds",
                 "boot with systemd.unified_cgroup_hierarchy=1");
    std::string there = Cat(" ", Trim(Read(point + "/cgroup.controllers")), " ");
    std::vector<std::string> missing;
    for (const char* controller : {"memory", "pids", "cpu", "cpuset", "io"}) {
      if (there.find(Cat(" ", controller, " ")) == there.npos) missing.emplace_back(controller);
    }
    std::string shared_out = Read(point + "/io.cost.qos");
    if (::access(Cat(paths_.root, point, "/io.cost.qos").c_str(), F_OK) == 0 &&
        shared_out.find("enable=1") == shared_out.npos)
      Add(Kind::kWarning,
          "io.weight: the kernel shares out no disk by weight; where the site sets it, it means nothing",
          Cat("echo \"MAJOR:MINOR enable=1\" >", point, "/io.cost.qos for the disk, once a boot"));
    if (missing.empty()) return Add(Kind::kGood, "cgroups: version 2 with all controllers");
    Add(Kind::kWarning,
        Cat("cgroups: version 2 without ", Join(missing, ", "), "; these limits cannot be held"),
        "boot with cgroup_no_v1=all (or mount version 1 without them)");
  }

  // Whoever starts a daemon with it as standard input has opened it (KernelLog).
  void KernelLog() {
    char target[64] = {};
    std::string link = Cat(paths_.root, kHandedOverLog);
    bool given = ::readlink(link.c_str(), target, sizeof target - 1) > 0 && target == kKernelLog;
    bool wanted = ::access((paths_.root + "/proc/driver/nvidia/version").c_str(), F_OK) == 0;
    if (given)
      Add(Kind::kGood, "kernel log: the agent's unit is given it; Xid errors of GPUs are noticed");
    else if (Open(Cat(paths_.root, kKernelLog), O_RDONLY | O_NONBLOCK))
      Add(Kind::kGood, "kernel log: can be read; Xid errors of GPUs are noticed");
    else
      Add(wanted ? Kind::kWarning : Kind::kGood,
          Cat("kernel log: cannot be read; ", wanted ? "Xid errors of GPUs are not noticed"
                                                     : "Xid errors of NVIDIA's GPUs would not be noticed"),
          wanted ? Cat("systemd-tmpfiles --create slipway.conf && systemctl restart slipway-broker "
                       "slipway-agent (a container needs ",
                       kKernelLog, ", too)")
                 : "");
  }

  void Clock() {
    timex state{};
    bool good = ::adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
    Add(good ? Kind::kGood : Kind::kWarning,
        good ? "clock: synchronised" : "clock: the kernel does not know it to be synchronised",
        good ? "" : "run chrony or systemd-timesyncd; tokens and credentials depend on the time");
  }

  void Accounts() {
    std::string known = "\n" + Read("/etc/passwd");
    for (const std::string& account : paths_.accounts) {
      bool there = known.find(Cat("\n", account, ":")) != known.npos;
      Add(there ? Kind::kGood : Kind::kBad, Cat("account ", account, there ? ": there" : ": not there"),
          there ? "" : "systemd-sysusers (packaging/sysusers.d)");
    }
  }

  void Folders() {
    std::string run = paths_.broker_socket.substr(0, paths_.broker_socket.rfind('/'));
    struct stat status;
    if (::stat((paths_.root + run).c_str(), &status) < 0)
      Add(Kind::kBad, Cat("run folder ", run, ": not there"), "systemctl start slipway-steps slipway-broker");
    else if (status.st_uid != 0 || (status.st_mode & 0022) != 0)
      Add(Kind::kWarning, Cat("run folder ", run, ": others than root can change it"),
          Cat("chown root: ", run, " && chmod 755 ", run, " (not on a node that runs rootless)"));
    else
      Add(Kind::kGood, Cat("run folder ", run, ": root's"));
    if (::stat((paths_.root + paths_.broker_socket).c_str(), &status) < 0 || !S_ISSOCK(status.st_mode))
      Add(Kind::kBad, Cat("broker: ", paths_.broker_socket, " is no socket"),
          "systemctl status slipway-broker");
    else
      Add(Kind::kGood, Cat("broker: ", paths_.broker_socket));
    if (::access((paths_.root + paths_.state_dir).c_str(), W_OK) < 0)
      Add(Kind::kBad, Cat("state folder ", paths_.state_dir, ": uid ", ::geteuid(), " may not write there"),
          "as the account slipway: slipway-agent --check; StateDirectory= of the unit makes the folder");
    else
      Add(Kind::kGood, Cat("state folder ", paths_.state_dir, ": writable"));
  }

  void Sysctls() {
    struct Wanted {
      const char* name;
      std::uint64_t least;
      const char* why;
    };
    for (auto [name, least, why] : {Wanted{"kernel.pid_max", 131072, "many ranks on many cores"},
                                    {"fs.inotify.max_user_instances", 128, "programs of many users"},
                                    {"kernel.keys.maxkeys", 200, "each step has a keyring of its own"}}) {
      std::string file = Cat("/proc/sys/", name);
      std::replace(file.begin() + 10, file.end(), '.', '/');
      std::string text = Read(file);
      if (text.empty()) continue;  // this kernel does not have it
      std::uint64_t value = std::strtoull(text.c_str(), nullptr, 10);
      if (value < least)
        Add(Kind::kWarning, Cat(name, ": ", value, " is little for ", why),
            Cat("sysctl -w ", name, "=", least));
      else
        Add(Kind::kGood, Cat(name, ": ", value));
    }
  }

  std::vector<HostFinding> found;

 private:
  void Add(Kind kind, std::string what, std::string mend = {}) {
    found.push_back({kind, std::move(what), std::move(mend)});
  }
  // By its path below the kernel's own folder: the kernel loads a file system's module when it is mounted.
  bool HasModule(const std::string& path) const {
    std::string release(Trim(Read("/proc/sys/kernel/osrelease")));
    auto there = [&](const char* packed) {
      std::string file = Cat(paths_.root, "/lib/modules/", release, "/kernel/", path, ".ko", packed);
      return ::access(file.c_str(), F_OK) == 0;
    };
    return !release.empty() && (there("") || there(".xz") || there(".zst") || there(".gz"));
  }
  std::string Read(const std::string& path) const {
    return ReadFile(paths_.root + path, 1 << 20).value_or(std::string());
  }
  std::string CgroupPoint() const { return CgroupMountIn(Read("/proc/self/mountinfo")); }
  const HostPaths& paths_;
};

}  // namespace

std::vector<HostFinding> CheckHost(const HostPaths& paths) {
  Checker checker(paths);
  checker.UserNamespaces();
  checker.FileSystems();
  checker.Fuse();
  checker.Cgroups();
  checker.Sysctls();
  checker.Accounts();
  checker.Folders();
  checker.KernelLog();
  checker.Clock();
  return std::move(checker.found);
}

std::string Show(const std::vector<HostFinding>& findings) {
  std::string text;
  for (Kind kind : {Kind::kBad, Kind::kWarning, Kind::kGood}) {
    for (const HostFinding& finding : findings) {
      if (finding.kind != kind) continue;
      text += Cat(kind == Kind::kBad       ? "BAD   "
                  : kind == Kind::kWarning ? "WARN  "
                                           : "ok    ",
                  finding.what, "\n");
      if (!finding.mend.empty()) text += Cat("      mend: ", finding.mend, "\n");
    }
  }
  return text;
}

bool AllGood(const std::vector<HostFinding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const HostFinding& finding) { return finding.kind == HostFinding::kBad; });
}

}  // namespace slipway
