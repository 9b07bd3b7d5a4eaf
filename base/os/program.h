// SPDX-License-Identifier: Apache-2.0
// Where the program that runs lies, and the others that were installed with it: beside it in a build folder;
// in ../libexec/slipway where packages put them, and from there back in ../../bin and ../../sbin.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway {

// A sealed copy in memory is "/memfd:…".
Result<std::string> OwnProgram();

// `self`: the path of an installed program. kNotFound names where it was looked for.
Result<std::string> FindBeside(const std::string& self, const std::string& program);
// Beside the one that runs.
Result<std::string> FindCompanion(const std::string& program);

}  // namespace slipway
