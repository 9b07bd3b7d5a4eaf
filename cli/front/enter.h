// SPDX-License-Identifier: Apache-2.0
// exec, run and shell in a container that runs already: an instance of the user's, or a job of his on this
// node. Nothing is built; the container's init forks what is asked for.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"
#include "launcher/client/task_client.h"

namespace slipway::cli {

inline constexpr std::string_view kInstanceScheme = "instance://";

// --job and --node, for exec and shell.
std::vector<Option> JobOptionList();

// The exit code of `rest` in the instance that `image` ("instance://NAME") names. Options that only a
// container that is being made can have are refused. `name` is exec, run or shell, `command` its declaration.
Result<int> EnterInstance(const Command& command, const std::string& name, const std::string& image,
                          Parsed parsed, std::vector<std::string> rest);

// slipway-remote, which knows where jobs run, takes over with the same words. Returns only if it is not
// there.
int GoToJob(const std::string& command, const std::vector<std::string>& arguments);
// What it then parses: the same without IMAGE.
Command DeclareJobTask(const std::string& command);
// The exit code of argv in the container behind stepd's `socket`; `job` names it in errors.
Result<int> EnterJob(const std::string& command, const std::string& socket, const std::string& job,
                     const Parsed& parsed);

std::string WorkingDirectory();                                    // empty when it is not to be had
std::vector<std::string> ShellPrompt(const std::string& command);  // PS1=…, for shell

}  // namespace slipway::cli
