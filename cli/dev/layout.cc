// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/layout.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace slipway::dev {
namespace {

// gRPC binds Unix sockets by their path, which the kernel bounds to 107 bytes.
constexpr std::size_t kSocketPathMax = 107;

Result<std::string> StateParent() {
  if (::geteuid() == 0) return std::string("/var/lib/slipway/dev");
  if (const char* state = ::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/')
    return Cat(state, "/slipway/dev");
  const char* home = ::getenv("HOME");
  if (home == nullptr || home[0] != '/')
    return Fail(Code::kFailedPrecondition, "HOME is not set: set it, or XDG_STATE_HOME");
  return Cat(home, "/.local/state/slipway/dev");
}

}  // namespace

Result<Layout> LayoutOf(const std::string& name) {
  bool label = !name.empty() && name.size() <= 32 && name[0] != '-' &&
               std::all_of(name.begin(), name.end(), [](char c) {
                 return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
               });
  if (!label)
    return Fail(Code::kInvalidArgument, "cluster name '", name, "': must be 1 to 32 of a-z, 0-9 and '-'");
  Layout layout{name, Cat(TRY(StateParent()), "/", name)};
  if (layout.socket().size() > kSocketPathMax) {
    return Fail(Code::kInvalidArgument, layout.state,
                ": too long for a Unix socket in it; set XDG_STATE_HOME to a shorter folder");
  }
  return layout;
}

}  // namespace slipway::dev
