// SPDX-License-Identifier: Apache-2.0
#include "cli/front/container_options.h"

#include <cstdlib>

namespace slipway::cli {

std::vector<Option> ContainerOptionList() {
  return {
      {.name = "bind",
       .letter = 'B',
       .type = Option::kList,
       .value_name = "SRC[:DEST[:ro]]",
       .help = "make a path of the host visible inside",
       .complete = "file"},
      {.name = "env",
       .type = Option::kList,
       .value_name = "NAME=VALUE",
       .help = "set a variable inside; wins over the image's"},
      {.name = "cleanenv", .letter = 'e', .help = "do not pass the environment on"},
      {.name = "pwd",
       .type = Option::kString,
       .value_name = "DIR",
       .help = "working directory inside",
       .complete = "dir"},
      {.name = "cwd",
       .type = Option::kString,
       .value_name = "DIR",
       .help = "the same as --pwd",
       .complete = "dir",
       .hidden = true},
      {.name = "no-home", .help = "do not mount the home directory"},
      {.name = "contain",
       .letter = 'c',
       .help = "empty /tmp, /var/tmp and home directory instead of the host's"},
      {.name = "writable-tmpfs",
       .help = "let the container change its files; the changes are in memory and go with it"},
      {.name = "hostname", .type = Option::kString, .value_name = "NAME", .help = "host name inside"},
      {.name = "pid", .letter = 'p', .help = "a PID namespace of its own (the default)", .hidden = true},
      {.name = "no-pid", .help = "see the host's processes"},
      {.name = "way",
       .type = Option::kString,
       .value_name = "WAY",
       .help = "how it is made: brokered, setuid, rootless or auto (also SLIPWAY_WAY)",
       .complete = "auto|brokered|setuid|rootless"},
      {.name = "import",
       .help = "put the image file into the node's store first; the kernel mounts it from there"},
      {.name = "explain", .help = "say on stderr how the container was made and where the time went"},
  };
}

ContainerOptions ContainerOptionsOf(const Parsed& parsed) {
  ContainerOptions options;
  options.binds = parsed.List("bind");
  options.env = parsed.List("env");
  options.clean_env = parsed.Has("cleanenv");
  options.no_home = parsed.Has("no-home");
  options.contain = parsed.Has("contain");
  options.writable_tmpfs = parsed.Has("writable-tmpfs");
  options.no_pid = parsed.Has("no-pid");
  options.pwd = parsed.Value("pwd", parsed.Value("cwd"));
  options.hostname = parsed.Value("hostname");
  return options;
}

Result<std::optional<Way>> WayOf(const Parsed& parsed) {
  const char* otherwise = std::getenv("SLIPWAY_WAY");
  return ParseWay(parsed.Value("way", otherwise != nullptr ? otherwise : ""));
}

}  // namespace slipway::cli
