// SPDX-License-Identifier: Apache-2.0
// exec, run, shell, test and run-help: a container here and now, no daemon.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options/options.h"
#include "launcher/client/container_run.h"
#include "launcher/client/image_file.h"
#include "launcher/client/spec_files.h"

namespace slipway::cli {

// Their declarations, for help and completion.
std::vector<Command> ContainerCommands();

bool IsContainerCommand(std::string_view word);

// What runs in the container for such a command; `rest` is what was typed behind the image.
std::vector<std::string> ArgvFor(const std::string& name, const Parsed& parsed,
                                 std::vector<std::string> rest);

std::vector<std::string> CallersVariables();
// Options that were set by SLIPWAY_NAME, APPTAINER_NAME or SINGULARITY_NAME.
Result<> TakeOptionsFromEnvironment(const Command& command, const std::vector<std::string>& variables,
                                    Parsed& parsed);

// Everything but argv, of options parsed with ContainerOptionList(), the environment's added to them. run.fds
// borrow from the rest.
struct PreparedRun {
  WayRequest way;
  ImageFile image;
  SpecFiles files;
  ContainerRun run;
  std::size_t caller_variables = 0;
};
// `chosen` is called as soon as it is known what is asked of a way, before most of the work; its error is
// ours.
Result<PreparedRun> PrepareRun(const Command& command, const std::string& image, Parsed& parsed,
                               const std::vector<std::string>& more_env,
                               const std::function<Result<>(const WayRequest&)>& chosen);

// `arguments` come after `name`, which is such a command. Returns the exit code.
int RunContainerCommand(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace slipway::cli
