// SPDX-License-Identifier: Apache-2.0
#include "cli/front/container_options.h"

#include <sys/stat.h>

#include <iterator>

#include "cli/front/container_edits.h"
#include "cli/front/foreign_options.h"
#include "cli/front/limit_options.h"
#include "cli/front/security_options.h"

namespace slipway::cli {
namespace {

constexpr Option::Type kList = Option::kList, kString = Option::kString;

std::vector<Option> MountOptions() {
  return {
      {.name = "bind",
       .letter = 'B',
       .type = kList,
       .value_name = "SRC[:DEST[:ro]]",
       .help =
           "make a path of the host visible inside; more options: rprivate, image-src=PATH and id=N for a "
           "path in an image file",
       .complete = "file",
       .variables = {"BIND", "BINDPATH"}},
      {.name = "mount",
       .type = kList,
       .value_name = "type=bind,source=SRC,destination=DEST[,ro]",
       .help = "the same for any path, as CSV",
       .variables = {"MOUNT"}},
      {.name = "no-mount",
       .type = kList,
       .value_name = "NAME,…",
       .help = "leave a default out: proc, sys, dev, devpts, home, tmp, cwd, bind-paths, or a path",
       .variables = {"NO_MOUNT"}},
      {.name = "home",
       .letter = 'H',
       .type = kString,
       .value_name = "SRC[:DEST]",
       .help = "another home directory",
       .complete = "dir",
       .variables = {"HOME"}},
      {.name = "no-home", .help = "do not mount the home directory", .variables = {"NO_HOME"}},
      {.name = "contain",
       .letter = 'c',
       .help = "empty /tmp, /var/tmp and home directory instead of the host's",
       .variables = {"CONTAIN"}},
      {.name = "containall",
       .letter = 'C',
       .help = "--contain, and nothing of the environment",
       .variables = {"CONTAINALL"}},
      {.name = "compat",
       .help = "as Docker has it: --containall --no-umask --writable-tmpfs",
       .variables = {"COMPAT"}},
      {.name = "scratch",
       .letter = 'S',
       .type = kList,
       .value_name = "DIR",
       .help = "an empty directory inside, gone at the end (kept with --workdir)",
       .variables = {"SCRATCH", "SCRATCHDIR"}},
      {.name = "workdir",
       .letter = 'W',
       .type = kString,
       .value_name = "DIR",
       .help = "where --scratch and --contain keep their directories, instead of in memory",
       .complete = "dir",
       .variables = {"WORKDIR"}},
      {.name = "pwd",
       .type = kString,
       .value_name = "DIR",
       .help = "working directory inside",
       .complete = "dir",
       .variables = {"PWD", "TARGET_PWD"}},
      {.name = "cwd",
       .type = kString,
       .value_name = "DIR",
       .help = "the same as --pwd",
       .complete = "dir",
       .hidden = true,
       .variables = {"CWD", "TARGET_CWD"}},
  };
}

std::vector<Option> WriteOptionList() {
  return {
      {.name = "overlay",
       .letter = 'o',
       .type = kList,
       .value_name = "DIR|FILE[:ro]",
       .help = "lay a directory or an ext3 image (changes go there), or a squashfs, over the image",
       .complete = "file",
       .variables = {"OVERLAY", "OVERLAYIMAGE"}},
      {.name = "writable",
       .letter = 'w',
       .help = "change the image itself, which must be a directory",
       .variables = {"WRITABLE"}},
      {.name = "writable-tmpfs",
       .help = "let the container change its files; the changes are in memory and go with it",
       .variables = {"WRITABLE_TMPFS"}},
      {.name = "tmpfs-size",
       .type = kString,
       .value_name = "SIZE",
       .help = "of what --writable-tmpfs may hold: bytes, or with k, m, g, % (half of memory)",
       .variables = {"TMPFS_SIZE"}},
  };
}

std::vector<Option> EnvironmentOptions() {
  return {
      {.name = "env",
       .type = kList,
       .value_name = "NAME=VALUE",
       .help = "set a variable inside, as it is written; wins over the image's"},
      {.name = "env-file",
       .type = kList,
       .value_name = "FILE",
       .help = "the same from a file, a line each",
       .complete = "file",
       .variables = {"ENV_FILE"}},
      {.name = "no-env",
       .type = kList,
       .value_name = "NAME,…",
       .help = "do not pass these variables on",
       .variables = {"NOENV"}},
      {.name = "cleanenv",
       .letter = 'e',
       .help = "do not pass the environment on",
       .variables = {"CLEANENV"}},
      {.name = "app",
       .type = kString,
       .value_name = "NAME",
       .help = "an application of the image (/scif/apps/NAME)",
       .variables = {"APP", "APPNAME"}},
      {.name = "no-umask", .help = "umask 022 instead of the caller's", .variables = {"NO_UMASK"}},
  };
}

std::vector<Option> IdentityOptions() {
  return {
      {.name = "fakeroot",
       .letter = 'f',
       .help = "be root inside, with the ids that /etc/subuid lends",
       .variables = {"FAKEROOT"}},
      {.name = "remap-root", .help = "the same", .hidden = true},
      {.name = "ignore-subuid",
       .help = "with --fakeroot: root and nobody else",
       .variables = {"IGNORE_SUBUID"}},
      {.name = "userns",
       .letter = 'u',
       .help = "a user namespace of your own, also where there is a faster way",
       .variables = {"USERNS", "UNSHARE_USERNS"}},
  };
}

std::vector<Option> NamespaceOptions() {
  return {
      {.name = "hostname",
       .type = kString,
       .value_name = "NAME",
       .help = "host name inside",
       .variables = {"HOSTNAME"}},
      {.name = "uts",
       .help = "a host name of its own that it may change",
       .variables = {"UTS", "UNSHARE_UTS"}},
      {.name = "net",
       .letter = 'n',
       .help = "no network but a loopback device; the host's otherwise",
       .variables = {"NET", "UNSHARE_NET"}},
      {.name = "network",
       .type = kString,
       .value_name = "none",
       .help = "the same",
       .variables = {"NETWORK"}},
      {.name = "dns",
       .type = kList,
       .value_name = "ADDRESS,…",
       .help = "name servers, instead of the host's /etc/resolv.conf",
       .variables = {"DNS"}},
      {.name = "ipc",
       .letter = 'i',
       .help = "an IPC namespace of its own (always)",
       .hidden = true,
       .variables = {"IPC", "UNSHARE_IPC"}},
      {.name = "pid",
       .letter = 'p',
       .help = "a PID namespace of its own (the default)",
       .hidden = true,
       .variables = {"PID", "UNSHARE_PID"}},
      {.name = "no-pid", .help = "see the host's processes", .variables = {"NO_PID"}},
  };
}

unsigned CallersUmask() {
  mode_t mask = ::umask(022);
  ::umask(mask);
  return mask;
}

EnvOptions EnvOf(const Parsed& parsed, bool contain_all) {
  return {.set = parsed.List("env"),
          .files = parsed.List("env-file"),
          .kept_out = parsed.List("no-env"),
          .clean = parsed.Has("cleanenv") || contain_all};
}

PlaceOptions PlacesOf(const Parsed& parsed, bool contain_all) {
  return {.no_mount = parsed.List("no-mount"),
          .scratch = parsed.List("scratch"),
          .home = parsed.Value("home"),
          .workdir = parsed.Value("workdir"),
          .no_home = parsed.Has("no-home"),
          .contain = parsed.Has("contain") || contain_all};
}

// --compat asks for what is lost at the end, unless something is said that keeps it.
WriteOptions WritingOf(const Parsed& parsed) {
  bool kept = parsed.Has("writable") || parsed.Has("overlay");
  return {.overlays = parsed.List("overlay"),
          .in_place = parsed.Has("writable"),
          .tmpfs = parsed.Has("writable-tmpfs") || (parsed.Has("compat") && !kept),
          .tmpfs_size = parsed.Value("tmpfs-size")};
}

}  // namespace

std::vector<Option> ContainerOptionList() {
  std::vector<Option> options;
  for (auto list : {MountOptions, WriteOptionList, EnvironmentOptions, IdentityOptions, NamespaceOptions,
                    LimitOptionList, SecurityOptionList, EditsOptionList, ForeignOptionList}) {
    std::vector<Option> more = list();
    std::move(more.begin(), more.end(), std::back_inserter(options));
  }
  options.push_back(
      {.name = "way",
       .type = kString,
       .value_name = "WAY",
       .help = "who makes it: brokered, setuid, rootless, or auto, the first of them that is there",
       .complete = "auto|brokered|setuid|rootless",
       .variables = {"WAY"}});
  options.push_back(
      {.name = "import",
       .help = "put the image file into the node's store first; the kernel mounts it from there",
       .variables = {"IMPORT"}});
  options.push_back(
      {.name = "explain", .help = "say on stderr how the container was made and where the time went"});
  return options;
}

ContainerOptions ContainerOptionsOf(const Parsed& parsed) {
  bool compat = parsed.Has("compat");
  bool contain_all = parsed.Has("containall") || compat;
  ContainerOptions options;
  options.binds = parsed.List("bind");
  options.mounts = parsed.List("mount");
  options.env = EnvOf(parsed, contain_all);
  options.places = PlacesOf(parsed, contain_all);
  options.writing = WritingOf(parsed);
  options.fakeroot = parsed.Has("fakeroot") || parsed.Has("remap-root");
  options.no_pid = parsed.Has("no-pid");
  options.uts = parsed.Has("uts");
  options.explain = parsed.Has("explain");
  options.pwd = parsed.Value("pwd", parsed.Value("cwd"));
  options.hostname = parsed.Value("hostname");
  options.network = parsed.Value("network", parsed.Has("net") ? "none" : "");
  options.dns = parsed.List("dns");
  options.app = parsed.Value("app");
  options.umask = parsed.Has("no-umask") || compat ? 022 : CallersUmask();
  return options;
}

Result<std::optional<Way>> WayOf(const Parsed& parsed) {
  auto way = TRY(ParseWay(parsed.Value("way")));
  for (const char* option : {"userns", "fakeroot", "remap-root"}) {
    if (!parsed.Has(option)) continue;
    if (way && *way != Way::kRootless)
      return Fail(Code::kInvalidArgument, "--", option,
                  " takes a user namespace of your own: the way is rootless");
    way = Way::kRootless;
  }
  return way;
}

}  // namespace slipway::cli
