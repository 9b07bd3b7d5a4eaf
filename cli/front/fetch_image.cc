// SPDX-License-Identifier: Apache-2.0
#include "cli/front/fetch_image.h"

#include <csignal>

#include "base/os/process.h"
#include "base/os/program.h"

namespace slipway::cli {

bool IsImageAddress(const std::string& image) {
  if (image.find("://") != std::string::npos) return true;
  for (const char* prefix : {"oci:", "oci-archive:", "docker-archive:"}) {
    if (image.starts_with(prefix)) return true;
  }
  return false;
}

Result<std::string> FetchImage(const std::string& address) {
  std::string program = TRY(FindCompanion("slipway-images"));
  auto fetched =
      TRY(RunAndCapture({.argv = {program, "fetch", "--", address}, .parent_death_signal = SIGTERM}));
  if (fetched.status.exit_code() != 0)
    return Fail(Code::kUnavailable, "image ", address, " could not be brought here");
  std::string path = fetched.out;
  while (path.ends_with("\n")) path.pop_back();
  if (path.empty()) return Fail(Code::kInternal, program, " named no file");
  return path;
}

}  // namespace slipway::cli
