// SPDX-License-Identifier: Apache-2.0
// The subcommands of slipway-images, one file each (or one family).
#pragma once

#include "cli/command/command.h"
#include "cli/images/declared/declared.h"

namespace slipway::cli {

extern const Subcommand kBuild;
extern const Subcommand kCacheLs, kCacheClean;
extern const Subcommand kOverlayCreate, kRegistryLogin, kRegistryLogout, kRegistryLs, kRegistryList,
    kCacheList;
extern const Subcommand kPull, kPush, kFetch;
extern const Subcommand kSign, kVerify, kKeyList, kKeyImport, kKeyExport, kKeyNewpair, kKeyRemove;
extern const Subcommand kSifList, kSifHeader, kSifInfo, kSifDump, kSifAdd, kSifDel, kSifNew, kSifSetprim;

}  // namespace slipway::cli
