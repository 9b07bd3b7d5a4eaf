// SPDX-License-Identifier: Apache-2.0
#include "base/os/program.h"

#include <unistd.h>

#include <vector>

#include "base/os/link.h"

namespace slipway {

Result<std::string> OwnProgram() { return ReadLink("/proc/self/exe"); }

Result<std::string> FindBeside(const std::string& self, const std::string& program) {
  std::string folder =
      self.substr(0, self.rfind('/') + 1);  // none: it was found by a search, who knows where
  std::vector<std::string> places = {folder, folder + "../libexec/slipway/"};
  if (folder.ends_with("/libexec/slipway/")) places = {folder, folder + "../../bin/", folder + "../../sbin/"};
  for (const std::string& place : places) {
    std::string path = place + program;
    if (!folder.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(Code::kNotFound, program, " is not installed: neither in ", places[0], " nor in ", places[1]);
}

Result<std::string> FindCompanion(const std::string& program) {
  return FindBeside(TRY(OwnProgram()), program);
}

}  // namespace slipway
