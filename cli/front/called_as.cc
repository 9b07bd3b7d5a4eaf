// SPDX-License-Identifier: Apache-2.0
#include "cli/front/called_as.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace slipway::cli {
namespace {

constexpr std::array<std::string_view, 4> kQuiet = {"-q", "--quiet", "-s", "--silent"};
// Ours says little, and nothing in colours that a pipe would see.
constexpr std::array<std::string_view, 5> kNothing = {"-d", "--debug", "-v", "--verbose", "--nocolor"};

template <typename Words>
bool IsOneOf(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

Result<CalledAs> ReadCall(const std::vector<std::string>& argv) {
  CalledAs call;
  call.name = argv[0].substr(argv[0].rfind('/') + 1);
  bool foreign = call.name == "apptainer" || call.name == "singularity";
  call.with_commands = foreign || call.name == "slipway";
  call.words.assign(argv.begin() + 1, argv.end());
  if (!foreign) return call;
  auto at = call.words.begin();
  for (; at != call.words.end() && at->starts_with('-'); ++at) {
    if (IsOneOf(kQuiet, *at)) {
      call.quiet = true;
    } else if (*at == "-c" || at->starts_with("--config") || at->starts_with("-c=")) {
      return Fail(Code::kInvalidArgument, call.name, " ", *at,
                  ": what an administrator settles is in /etc/slipway/starter.conf, for everybody");
    } else if (!IsOneOf(kNothing, *at)) {
      break;  // --help, --version
    }
  }
  call.words.erase(call.words.begin(), at);
  return call;
}

}  // namespace slipway::cli
