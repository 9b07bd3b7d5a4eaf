// SPDX-License-Identifier: Apache-2.0
// An image may bring an environment (/.singularity.d/env/*.sh, shell code). It is evaluated once per
// container, not once per rank, by the image's own shell; scripts that only assign plain values are read
// without one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

using Environment = std::vector<std::string>;  // NAME=value

std::string_view Lookup(const Environment& env, std::string_view name);  // empty when not set
void SetVariable(Environment& env, std::string_view name, std::string_view value);

// What of the image takes part.
struct ImagePart {
  bool environment = true;
  std::string app;      // the environment of that one of /scif/apps comes after the image's; empty: of none
  int control_fd = -1;  // whoever ordered this: once he has gone, its shell need not go on
};

// Inside the container. The order of Apptainer: `env` first, the image's scripts over it, then what the user
// said for the container alone (SLIPWAYENV_X, APPTAINERENV_X or SINGULARITYENV_X sets X). PATH is the usual
// one unless the image or the user sets it for the container: the host's means nothing here.
// kCancelled when the image's shell was ended by a signal, or when the other end of the control socket was
// closed while it ran.
Result<Environment> ContainerEnvironment(const Environment& env, const ImagePart& image);

// kNotFound names the apps that the image has. An empty one is always there.
Result<> CheckApp(const std::string& app);

// The assignments of a script of the simplest kind ("export NAME=value", quoted or not, comments), applied to
// `env`; false, with nothing done, when it takes a shell to understand it.
bool ApplyPlainScript(std::string_view script, Environment& env);

}  // namespace slipway
