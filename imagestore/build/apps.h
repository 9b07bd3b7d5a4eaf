// SPDX-License-Identifier: Apache-2.0
// Apps of an image (SCIF): each has a folder /scif/apps/NAME with its scripts, where `slipway run --app NAME`
// and Apptainer look for them.
#pragma once

#include <string>

#include "imagestore/build/deffile.h"
#include "imagestore/build/root_dir.h"

namespace slipway::build {

std::string AppFolder(const App& app);                   // "/scif/apps/NAME"
Result<> WriteApp(const RootDir& root, const App& app);  // folders and scripts
std::string AppInstallScript(const App& app);            // %appinstall, to be run in the app's folder

}  // namespace slipway::build
