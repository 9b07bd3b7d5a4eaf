// SPDX-License-Identifier: Apache-2.0
#include "cli/config/host.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/os/fd.h"
#include "base/os/program.h"
#include "base/os/socket.h"
#include "launcher/spec/starter_conf.h"

namespace slipway::cli {
namespace {

std::optional<std::string> Sysctl(const std::string& name) {
  auto text = ReadFile(Cat("/proc/sys/", name), 64);
  if (!text) return std::nullopt;
  return text->substr(0, text->find('\n'));
}

void ReadConfInto(HostFacts& facts) {
  facts.conf_path = kStarterConf;
  struct stat info;
  auto text = ReadFile(kStarterConf, 64 << 10);
  auto conf = ParseConf(text ? *text : std::string());
  if (text && ::stat(kStarterConf, &info) == 0)
    facts.conf_trusted = info.st_uid == 0 && (info.st_mode & 022) == 0;
  if (!conf) facts.conf_mistake = conf.error().message;
  BrokerConf known = conf ? *conf : ParseConf("").value();
  facts.allow_setuid = known.allow_setuid;
  facts.allow_exec = known.allow_exec;
  facts.exec_socket = known.exec_socket();
  facts.broker_serves = ConnectUnix(facts.exec_socket, SOCK_SEQPACKET).has_value();
}

bool Forbidden(const std::optional<std::string>& sysctl, bool zero_forbids) {
  return sysctl && (zero_forbids ? *sysctl == "0" : *sysctl != "0");
}

Finding NamespaceFinding(const HostFacts& facts) {
  Finding finding{"rootless", true, "users may make user namespaces", ""};
  if (Forbidden(facts.userns_max, true))
    return {"rootless", false,
            "user.max_user_namespaces is 0: nobody may make a user namespace, root neither",
            "sysctl -w user.max_user_namespaces=65536"};
  if (Forbidden(facts.userns_clone, true))
    return {"rootless", false, "kernel.unprivileged_userns_clone is 0: users may not make user namespaces",
            "sysctl -w kernel.unprivileged_userns_clone=1 (or offer the brokered or the setuid way)"};
  if (Forbidden(facts.apparmor_restricts, false))
    return {"rootless", false,
            "kernel.apparmor_restrict_unprivileged_userns is on: a user's namespace has no rights in it",
            "an AppArmor profile with 'userns,' for slipway-starter, or the brokered or the setuid way"};
  return finding;
}

}  // namespace

HostFacts ReadHost() {
  HostFacts facts;
  facts.userns_clone = Sysctl("kernel/unprivileged_userns_clone");
  facts.userns_max = Sysctl("user/max_user_namespaces");
  facts.apparmor_restricts = Sysctl("kernel/apparmor_restrict_unprivileged_userns");
  struct stat info;
  facts.fuse_usable = ::stat("/dev/fuse", &info) == 0 && (info.st_mode & 06) == 06;
  facts.squashfuse = FindCompanion("slipway-squashfuse").has_value();
  for (const char* path : {"/usr/bin/squashfuse_ll", "/usr/local/bin/squashfuse_ll"})
    facts.squashfuse = facts.squashfuse || ::access(path, X_OK) == 0;
  if (auto starter = FindCompanion("slipway-starter"); starter && ::stat(starter->c_str(), &info) == 0) {
    facts.starter = *starter;
    facts.starter_setuid = info.st_uid == 0 && (info.st_mode & S_ISUID) != 0;
    struct statvfs mount;
    facts.starter_nosuid_mount = ::statvfs(starter->c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0;
  }
  ReadConfInto(facts);
  return facts;
}

std::vector<Finding> JudgeHost(const HostFacts& facts) {
  std::vector<Finding> findings;
  bool no_namespaces = Forbidden(facts.userns_max, true),
       bad_conf = !facts.conf_mistake.empty() || !facts.conf_trusted;
  Finding rootless = NamespaceFinding(facts);
  Finding brokered{"brokered", true, Cat("slipway-broker serves users at ", facts.exec_socket), ""};
  if (no_namespaces) {
    brokered = {"brokered", false, rootless.why, rootless.mend};
  } else if (!facts.allow_exec) {
    brokered = {"brokered", false, "starter.conf says allow_exec = no",
                "allow_exec = yes, and restart slipway-broker"};
  } else if (!facts.broker_serves) {
    brokered = {"brokered", false, Cat("nobody serves users at ", facts.exec_socket),
                "systemctl enable --now slipway-steps slipway-broker"};
  }
  Finding setuid{"setuid", true, Cat(facts.starter, " is setuid root"), ""};
  if (no_namespaces) {
    setuid = {"setuid", false, rootless.why, rootless.mend};
  } else if (facts.starter.empty()) {
    setuid = {"setuid", false, "slipway-starter is not installed beside this program", "install it"};
  } else if (!facts.starter_setuid) {
    setuid = {"setuid", false, Cat(facts.starter, " is not setuid root"),
              Cat("chown root ", facts.starter, " && chmod 4755 ", facts.starter)};
  } else if (facts.starter_nosuid_mount) {
    setuid = {"setuid", false, Cat(facts.starter, " lies on a file system mounted nosuid"),
              "install it elsewhere"};
  } else if (!facts.allow_setuid) {
    setuid = {"setuid", false, "starter.conf says allow_setuid = no", "allow_setuid = yes"};
  } else if (bad_conf) {
    setuid = {"setuid", false, "starter.conf cannot be believed (below)", ""};
  }
  if (rootless.good && facts.starter.empty())
    rootless = {"rootless", false, "slipway-starter is not installed beside this program", "install it"};
  findings = {brokered, setuid, rootless};
  findings.push_back(
      facts.fuse_usable && facts.squashfuse
          ? Finding{"fuse", true, "users' own SIF and squashfs files are served by squashfuse", ""}
          : Finding{"fuse", false,
                    facts.squashfuse ? "/dev/fuse is not open to users" : "squashfuse_ll is not installed",
                    facts.squashfuse ? "chmod 0666 /dev/fuse (udev does so where it runs)"
                                     : "apt install squashfuse"});
  Finding conf{"starter.conf", true,
               Cat(facts.conf_path, " is good, or not there: every key has its default"), ""};
  if (!facts.conf_mistake.empty())
    conf = {"starter.conf", false, facts.conf_mistake, "slipway config check shows where"};
  if (!facts.conf_trusted)
    conf = {"starter.conf", false, "it is not root's alone to write",
            Cat("chown root ", facts.conf_path, " && chmod 0644 ", facts.conf_path)};
  findings.push_back(conf);
  return findings;
}

}  // namespace slipway::cli
