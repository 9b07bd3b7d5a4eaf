// SPDX-License-Identifier: Apache-2.0
// An image says itself what it runs, tests and tells of itself, in files that recipes' sections became
// (/.singularity.d, and /scif/apps/APP/scif of an app). Which of them are there is known only inside.
#pragma once

#include <string>
#include <vector>

namespace slipway::cli {

// What runs in the container for `name` (run, test, run-help, shell), before its arguments. `app`: of the app
// in $SCIF_APPNAME, not of the image.
std::vector<std::string> ImageScriptArgv(const std::string& name, bool app);

}  // namespace slipway::cli
