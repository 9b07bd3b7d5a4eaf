// SPDX-License-Identifier: Apache-2.0
// Which of the caller's variables enter the container, and what he sets there. The image's own environment is
// applied inside (container/environment.h), between the two.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "launcher/client/user.h"

namespace slipway {

using Variables = std::vector<std::string>;  // NAME=value

// --env "A=1,B=2": a comma separates variables where a NAME= follows it, and is a part of the value
// otherwise.
Result<Variables> ParseEnv(const std::string& argument);

// --env-file: a line each, "export " allowed, values bare or quoted with ' or "; '#' begins a comment.
// Nothing is evaluated. kInvalidArgument names file and line.
Result<Variables> ReadEnvFile(const std::string& path);
Result<Variables> ParseEnvFile(std::string_view text, const std::string& path);  // `path` for the words only

struct EnvOptions {
  std::vector<std::string> set;       // --env, as given
  std::vector<std::string> files;     // --env-file; --env wins
  std::vector<std::string> kept_out;  // --no-env: names, comma lists as given
  bool clean = false;                 // nothing of the caller's environment but HOME, USER, TERM, LANG
};

// `image_path`: what SLIPWAY_CONTAINER (and Apptainer's names for it) say. `user`: as he is inside.
Result<Variables> ContainerEnv(const std::string& image_path, const EnvOptions& options, const User& user,
                               const Variables& caller_env);

}  // namespace slipway
