// SPDX-License-Identifier: Apache-2.0
// "No such file or directory" has many causes in a container; each gets its own line and the shell's exit
// code.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

// The path to execute for `name`, looked up in `path` as execvp would. Errors: kNotFound → exit code 127,
// kPermissionDenied or kFailedPrecondition (not executable, other architecture, no interpreter) → 126.
Result<std::string> FindProgram(const std::string& name, std::string_view path);

// Why execve of `program` failed with `sys_errno`, in one line.
Error ExecError(const std::string& program, int sys_errno);

int ExitCodeFor(const Error& error);

}  // namespace slipway
