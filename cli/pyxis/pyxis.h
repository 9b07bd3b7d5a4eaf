// SPDX-License-Identifier: Apache-2.0
// Users of Pyxis say `srun --container-image=… --container-mounts=…` where we say --image and --bind. Here
// are those options and what each means in our words; what we have no equal of is refused in one line that
// names the cure, never ignored. Pure, but for environment variables that the caller hands in.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"

namespace slipway::cli {

std::vector<Option> PyxisOptions();

// [USER@][REGISTRY#]IMAGE[:TAG] as an address ("docker://…"); a path ("/…", "./…", what `is_file` says there
// is) and an address as they are. kInvalidArgument names what cannot be had.
Result<std::string> PyxisImage(std::string_view text, const std::function<bool(const std::string&)>& is_file);

// SRC[:DST[:FLAG[+FLAG…]]],… as "SRC[:DST[:ro]]"; SRC as written.
Result<std::vector<std::string>> PyxisMounts(std::string_view text);

// What the options but the image say.
struct PyxisWishes {
  std::vector<std::string> mounts;     // as PyxisMounts
  std::string cwd;                     // absolute; empty: not said
  bool writable = false;               // changes are forgotten at the end
  bool no_home = false;                // the home directory is not mounted
  bool entrypoint = false;             // the image's own goes before the command
  std::vector<std::string> variables;  // the caller's win over the image's
};
Result<PyxisWishes> PyxisWishesOf(const Parsed& options);

// The images that a script's own steps name (`srun --container-image=…`), in order, each once; what only the
// running script can know ("$IMAGE") is left out.
std::vector<std::string> ImagesOfSteps(std::string_view script);

}  // namespace slipway::cli
