// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/container_spec.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "base/text/text.h"
#include "launcher/client/bind_options.h"

namespace slipway {
namespace {

Result<> AddMounts(const ContainerOptions& options, const Home& home, const std::string& cwd,
                   SpecFiles& files, LaunchSpec& spec) {
  auto add = [&](const std::vector<Mount>& more) {
    spec.mounts.insert(spec.mounts.end(), more.begin(), more.end());
  };
  PlaceOptions places = options.places;
  if (!options.dns.empty()) places.no_mount.emplace_back("/etc/resolv.conf");
  add(TRY(DefaultMounts(places, home, cwd)));
  for (const std::string& bind : options.binds) add(TRY(ParseBind(bind, files)));
  for (const std::string& mount : options.mounts) add(TRY(ParseMount(mount, files)));
  add(TRY(ScratchMounts(options.places)));
  return {};
}

Result<InjectedFile> ResolvConf(const std::vector<std::string>& dns) {
  InjectedFile file{"/etc/resolv.conf", "", 0644, false};
  for (const std::string& list : dns) {
    for (const std::string& server : Split(list, ',')) {
      unsigned char address[16];
      if (::inet_pton(AF_INET, server.c_str(), address) != 1 &&
          ::inet_pton(AF_INET6, server.c_str(), address) != 1)
        return Fail(Code::kInvalidArgument, "--dns '", server.substr(0, 64), "' is not an IP address");
      file.content += Cat("nameserver ", server, "\n");
    }
  }
  return file;
}

Result<> AddFiles(const ContainerOptions& options, const User& inside, LaunchSpec& spec) {
  spec.files = {{"/etc/passwd", PasswdLine(inside), 0644, true},
                {"/etc/group", GroupLine(inside), 0644, true}};
  if (!options.hostname.empty())
    spec.files.push_back({"/etc/hostname", options.hostname + "\n", 0644, false});
  if (!options.dns.empty()) spec.files.push_back(TRY(ResolvConf(options.dns)));
  return {};
}

Result<> SetNamespaces(const ContainerOptions& options, LaunchSpec& spec) {
  spec.pid_namespace = !options.no_pid;
  spec.uts_namespace = options.uts;
  if (options.hostname.size() > 64)
    return Fail(Code::kInvalidArgument, "--hostname: the kernel takes 64 bytes at most");
  spec.hostname = options.hostname;
  if (options.network.empty()) return {};
  if (options.network != "none") {
    return Fail(
        Code::kUnimplemented, "--network ", options.network,
        ": only none is to be had (a loopback device and nothing else); a bridge or another interface takes "
        "rights on the host's network, which is used as it is without --net");
  }
  spec.net_namespace = true;
  return {};
}

std::string WorkingDirectory(const ContainerOptions& options, const Home& home, const std::string& cwd) {
  if (!options.pwd.empty()) return options.pwd;
  if (!options.places.contain) return cwd;
  return options.places.no_home ? "/" : home.target;
}

}  // namespace

Result<LaunchSpec> MakeContainerSpec(const ImageFile& image, const ContainerOptions& options,
                                     const User& user, const std::vector<std::string>& caller_env,
                                     const std::string& cwd, SpecFiles& files) {
  LaunchSpec spec;
  spec.image = image.source;
  if (image.file) files.Borrow(image.file.get());
  Home home = TRY(HomeOf(options.places, user, options.fakeroot));
  User inside = options.fakeroot ? User{.name = "root", .group = "root", .shell = "/bin/sh"} : user;
  inside.home = home.target;
  spec.fakeroot = options.fakeroot;
  if (options.fakeroot) spec.confinement.capabilities = kAllCapabilities;
  TRY(SetNamespaces(options, spec));
  TRY(SetWriting(image, options.writing, files, spec));
  TRY(AddMounts(options, home, cwd, files, spec));
  TRY(AddFiles(options, inside, spec));
  spec.env = TRY(ContainerEnv(image.path, options.env, inside, caller_env));
  if (options.app.find('/') != std::string::npos || options.app.starts_with('.'))
    return Fail(Code::kInvalidArgument, "--app '", options.app.substr(0, 64), "' is not the name of an app");
  spec.app = options.app;
  spec.umask = options.umask;
  spec.explain = options.explain;
  spec.cwd = WorkingDirectory(options, home, cwd);
  if (!spec.cwd.empty() && spec.cwd[0] != '/')
    return Fail(Code::kInvalidArgument, "--pwd '", spec.cwd, "' is not an absolute path");
  Task task;
  task.stdin_fd = files.Borrow(STDIN_FILENO);
  spec.fd_count = static_cast<std::uint32_t>(files.fds().size());
  spec.tasks = {task};
  return spec;
}

}  // namespace slipway
