// SPDX-License-Identifier: Apache-2.0
// One more process in a container that runs already, for `exec instance://…` and `exec --job`: what it is and
// where its streams go. It travels in a sealed memfd from the one who wants it to the container's init, which
// alone believes it; those between (slipway-stepd, an instance's keeper) only pass it on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/wire/wire.h"

namespace slipway {

struct TaskOrder {
  std::uint32_t version = 2;
  std::vector<std::string> argv;  // argv[0] is looked up in the PATH it will have, in the container
  // Whether `env` is a whole environment, to which the image's own is applied anew, or comes on top of the
  // environment that the container's tasks have.
  bool whole_environment = false;
  std::vector<std::string> env;  // NAME=value
  std::string cwd;               // empty: the container's
  bool cwd_optional = false;     // the container's too where there is no `cwd`
  // Its streams, as indices into the descriptors behind the memfd. stdin may be -1: /dev/null.
  std::int32_t stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;
  bool terminal = false;  // stdin is a terminal and becomes the controlling one of the task's session
  // One more descriptor stays open in the task, which finds its number in this variable; -1: none.
  std::int32_t kept_fd = -1;
  std::string kept_fd_variable;
  std::vector<std::uint32_t> cpus;  // its processors; empty: the container's
};
void Fields(auto& archive, IsA<TaskOrder> auto& v) {
  archive(v.version, v.argv, v.whole_environment, v.env, v.cwd, v.cwd_optional, v.stdin_fd, v.stdout_fd,
          v.stderr_fd, v.terminal, v.kept_fd, v.kept_fd_variable, v.cpus);
}

inline constexpr std::size_t kTaskOrderBytesMax = 8 << 20;
inline constexpr std::size_t kTaskStreamsMax = 4;  // descriptors behind the memfd

// With every bound checked; `stream_count` is how many descriptors came. kInvalidArgument names the field.
Result<TaskOrder> DecodeTaskOrder(std::string_view bytes, std::size_t stream_count);

}  // namespace slipway
