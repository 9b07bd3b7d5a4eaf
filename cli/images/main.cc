// SPDX-License-Identifier: Apache-2.0
// slipway-images: every command that works on image files, with the libraries that this takes (libcurl,
// gpgme, libarchive). They are shared objects, which slipway-remote, linked statically, cannot have.
#include "cli/images/subcommands.h"

int main(int argc, char** argv) {
  using namespace slipway::cli;
  static const std::vector<const Subcommand*> all = {
      &kBuild,          &kPull,       &kPush,        &kFetch,      &kSign,          &kVerify,
      &kKeyList,        &kKeyImport,  &kKeyExport,   &kKeyNewpair, &kKeyRemove,     &kSifList,
      &kSifHeader,      &kSifInfo,    &kSifDump,     &kSifAdd,     &kSifDel,        &kSifNew,
      &kSifSetprim,     &kCacheLs,    &kCacheClean,  &kCacheList,  &kOverlayCreate, &kRegistryLogin,
      &kRegistryLogout, &kRegistryLs, &kRegistryList};
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty())
    return UsageExit({slipway::Code::kInvalidArgument, 0, "slipway-images: call it as `slipway`"});
  return Dispatch(words, all);
}
