// SPDX-License-Identifier: Apache-2.0
// The commands that work on image files are slipway-images', which links libraries that nobody else has. The
// other programs must know their names, for dispatch, and what they take, for help and completion; that is
// here, without any of those libraries.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/options/options.h"

namespace slipway::cli {

// First words: "build", "sif" …
std::vector<std::string> ImageFileWords();
bool IsImageFileCommand(std::string_view first_word);
// All declarations, in the order of `slipway --help`.
std::vector<Command> ImageFileCommands();

Command DeclareBuild();
Command DeclareCacheLs();
Command DeclareCacheClean();
Command DeclarePull();
Command DeclarePush();
Command DeclareFetch();  // hidden: what `slipway exec docker://…` calls
Command DeclareOverlayCreate();
Command DeclareRegistryLogin();
Command DeclareRegistryLogout();
Command DeclareRegistryLs();
Command DeclareSign();
Command DeclareVerify();
Command DeclareKeyList();
Command DeclareKeyImport();
Command DeclareKeyExport();
Command DeclareKeyNewpair();
Command DeclareKeyRemove();
Command DeclareSifList();
Command DeclareSifHeader();
Command DeclareSifInfo();
Command DeclareSifDump();
Command DeclareSifAdd();
Command DeclareSifDel();
Command DeclareSifNew();
Command DeclareSifSetprim();

}  // namespace slipway::cli
