// SPDX-License-Identifier: Apache-2.0
// --bind and --mount say the same in two spellings: a short one that everybody types, and CSV fields that can
// carry any path.
#pragma once

#include <string>
#include <vector>

#include "launcher/client/spec_files.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// "SRC[:DEST[:OPTION,…]],…" with the options ro, rw, rslave, rprivate, image-src=PATH and id=N; "\:" and "\,"
// stand for themselves. Descriptors of image files are added to `files`. kInvalidArgument names the argument
// and what it may be; a source that is not there is kNotFound.
Result<std::vector<Mount>> ParseBind(const std::string& argument, SpecFiles& files);

// "type=bind,source=SRC,destination=DEST[,ro][,bind-propagation=…][,image-src=PATH][,id=N]", fields quoted as
// in CSV, several on lines of their own.
Result<std::vector<Mount>> ParseMount(const std::string& argument, SpecFiles& files);

}  // namespace slipway
