// SPDX-License-Identifier: Apache-2.0
// exec, run and shell: a container here and now, no daemon.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"
#include "launcher/client/container_run.h"
#include "launcher/client/image_file.h"

namespace slipway::cli {

// Their declarations, for help and completion.
std::vector<Command> ContainerCommands();

// What runs in the container for exec, run and shell; `rest` is what was typed behind the image.
std::vector<std::string> ArgvFor(const std::string& name, std::vector<std::string> rest);

// Everything but argv, of options parsed with ContainerOptionList(). run.fds borrow from `image`.
struct PreparedRun {
  ImageFile image;
  ContainerRun run;
};
Result<PreparedRun> PrepareRun(const std::string& image, const Parsed& parsed,
                               std::vector<std::string> more_env = {});

// Which way, which mounts, where the time went: on stderr.
void Explain(const ImageFile& image, const LaunchSpec& spec, const InitReady& ready);

// `name` is exec, run or shell; `arguments` come after it. Returns the exit code.
int RunContainerCommand(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace slipway::cli
