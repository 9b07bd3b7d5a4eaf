// SPDX-License-Identifier: Apache-2.0
#include "base/os/program.h"

#include <unistd.h>

#include "base/os/link.h"

namespace slipway {

Result<std::string> OwnProgram() { return ReadLink("/proc/self/exe"); }

Result<std::string> FindBeside(const std::string& self, const std::string& program) {
  std::string folder =
      self.substr(0, self.rfind('/') + 1);  // none: it was found by a search, who knows where
  for (const std::string& path : {folder + program, Cat(folder, "../libexec/slipway/", program)}) {
    if (!folder.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(Code::kNotFound, program, " is not installed: neither in ", folder, " nor in ", folder,
              "../libexec/slipway");
}

Result<std::string> FindCompanion(const std::string& program) {
  return FindBeside(TRY(OwnProgram()), program);
}

}  // namespace slipway
