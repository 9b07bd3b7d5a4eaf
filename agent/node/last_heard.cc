// SPDX-License-Identifier: Apache-2.0
#include "agent/node/last_heard.h"

#include <fcntl.h>

#include <cstdio>

#include "base/log/log.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::size_t kBytesMax = 256;
std::string PathIn(const std::string& state_dir) { return state_dir + "/last-heard"; }

Result<> Write(const std::string& path, const std::string& text) {
  std::string fresh = path + ".new";
  UniqueFd file = TRY(Open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  TRY_CONTEXT(WriteAll(file.get(), text), fresh);
  return ::rename(fresh.c_str(), path.c_str()) < 0 ? ErrnoFail("rename", path) : Result<>();
}

}  // namespace

std::uint64_t ReadLastHeard(const std::string& state_dir, const std::string& boot_id) {
  std::string text = ReadFile(PathIn(state_dir), kBytesMax).value_or(std::string());
  std::size_t space = text.find(' ');
  if (space == text.npos || text.substr(0, space) != boot_id) return 0;
  return ParseNumber(Trim(std::string_view(text).substr(space + 1)), 1, UINT64_MAX).value_or(0);
}

void WriteLastHeard(const std::string& state_dir, const std::string& boot_id, std::uint64_t boot_ms) {
  auto written = Write(PathIn(state_dir), Cat(boot_id, " ", boot_ms, "\n"));
  if (!written)
    Log(Level::kWarn, "when the controller was heard cannot be written down",
        {{"error", written.error().message}});
}

}  // namespace slipway
