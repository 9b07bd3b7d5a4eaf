// SPDX-License-Identifier: Apache-2.0
#include "cli/images/declared/declared.h"

#include <algorithm>
#include <array>

namespace slipway::cli {

namespace {
constexpr std::array<std::string_view, 11> kWords = {"build",  "cache", "pull", "push",    "fetch",   "sign",
                                                     "verify", "key",   "sif",  "overlay", "registry"};
}

std::vector<std::string> ImageFileWords() { return {kWords.begin(), kWords.end()}; }

bool IsImageFileCommand(std::string_view first_word) {
  return std::find(kWords.begin(), kWords.end(), first_word) != kWords.end();
}

std::vector<Command> ImageFileCommands() {
  return {DeclareBuild(),         DeclarePull(),          DeclarePush(),           DeclareSign(),
          DeclareVerify(),        DeclareKeyList(),       DeclareKeyImport(),      DeclareKeyExport(),
          DeclareKeyNewpair(),    DeclareKeyRemove(),     DeclareSifList(),        DeclareSifHeader(),
          DeclareSifInfo(),       DeclareSifDump(),       DeclareSifAdd(),         DeclareSifDel(),
          DeclareSifNew(),        DeclareSifSetprim(),    DeclareCacheLs(),        DeclareCacheClean(),
          DeclareOverlayCreate(), DeclareRegistryLogin(), DeclareRegistryLogout(), DeclareRegistryLs()};
}

}  // namespace slipway::cli
