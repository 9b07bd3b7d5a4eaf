// SPDX-License-Identifier: Apache-2.0
#include "cli/images/declared/foreign.h"

#include <string_view>

namespace slipway::cli {
namespace {

constexpr auto kFlag = Option::kFlag, kString = Option::kString, kList = Option::kList;
constexpr auto kNothing = Option::kNothing, kWarn = Option::kWarn, kRefuse = Option::kRefuse;
constexpr char kFiles[] = "bring what a section needs by %files";
constexpr char kOneTree[] = "sections see no devices; test with `slipway exec --nv` or `--rocm` afterwards";
constexpr char kEncrypted[] = "encrypted images are not had; keep the file where only you can read it";
constexpr char kLogin[] = "`slipway registry login` asks for a password once and keeps it";
constexpr char kDocker[] = "there is no Docker daemon to ask; `docker save` and docker-archive:FILE do";
constexpr char kLibrary[] = "there is no library:// to ask; name the address: oras:// or docker://";
constexpr char kUnsigned[] = "signatures are asked for by `slipway verify` and by the site's policy";

constexpr ForeignOption kBuild[] = {
    {"fakeroot", 'f', kFlag, nullptr, kNothing, "an ordinary user is root of his own build anyway"},
    {"userns", 0, kFlag, nullptr, kNothing, "builds of an ordinary user are in a user namespace anyway"},
    {"fix-perms", 0, kFlag, nullptr, kNothing, "files are packed as they are, whoever may read them"},
    {"ignore-fakeroot-command", 0, kFlag, nullptr, kNothing, "fakeroot(1) is never used"},
    {"ignore-subuid", 0, kFlag, nullptr, kRefuse, "sections need subordinate ids (/etc/subuid)"},
    {"ignore-userns", 0, kFlag, nullptr, kRefuse, "an ordinary user has no other root than his namespace's"},
    {"warn-unused-build-args", 0, kFlag, nullptr, kNothing, "an argument that no recipe names is an error"},
    {"no-cleanup", 0, kFlag, nullptr, kRefuse, "nothing is left of a build; --sandbox shows what it made"},
    {"no-setgroups", 0, kFlag, nullptr, kNothing, "sections have root's groups alone"},
    {"writable-tmpfs", 0, kFlag, nullptr, kNothing, "%test may write, and what it writes is forgotten"},
    {"nv", 0, kFlag, nullptr, kRefuse, kOneTree},
    {"nvccli", 0, kFlag, nullptr, kRefuse, kOneTree},
    {"rocm", 0, kFlag, nullptr, kRefuse, kOneTree},
    {"bind", 'B', kList, nullptr, kRefuse, kFiles},
    {"mount", 0, kList, nullptr, kRefuse, kFiles},
    {"update", 'u', kFlag, nullptr, kRefuse,
     "build anew: sections that did not change are taken from the cache"},
    {"section", 0, kList, nullptr, kRefuse, "all are done; --notest leaves out %test"},
    {"mksquashfs-args", 0, kString, nullptr, kRefuse,
     "no mksquashfs packs here; --comp chooses the compression"},
    {"encrypt", 'e', kFlag, nullptr, kRefuse, kEncrypted},
    {"passphrase", 0, kFlag, nullptr, kRefuse, kEncrypted},
    {"pem-path", 0, kString, nullptr, kRefuse, kEncrypted},
    {"remote", 'r', kFlag, nullptr, kRefuse, "there is no remote builder; it is built here, without root"},
    {"detached", 'd', kFlag, nullptr, kRefuse, "there is no remote builder; it is built here, without root"},
    {"library", 0, kString, nullptr, kRefuse, kLibrary},
    {"docker-login", 0, kFlag, nullptr, kRefuse, kLogin},
    {"docker-host", 0, kString, nullptr, kRefuse, kDocker},
};

constexpr ForeignOption kPull[] = {
    {"arch-variant", 0, kString, nullptr, kWarn, "of several variants the first of the index is taken"},
    {"allow-unsigned", 'U', kFlag, nullptr, kNothing, kUnsigned},
    {"allow-unauthenticated", 0, kFlag, nullptr, kNothing, kUnsigned},
    {"tmpdir", 0, kString, nullptr, kNothing,
     "layers go from the cache into the SIF without a place between"},
    {"no-cleanup", 0, kFlag, nullptr, kNothing, "nothing is left that could be kept"},
    {"library", 0, kString, nullptr, kRefuse, kLibrary},
    {"docker-login", 0, kFlag, nullptr, kRefuse, kLogin},
    {"docker-host", 0, kString, nullptr, kRefuse, kDocker},
};

constexpr ForeignOption kPush[] = {
    {"allow-unsigned", 'U', kFlag, nullptr, kNothing, kUnsigned},
    {"description", 'D', kString, nullptr, kWarn,
     "only library:// has descriptions; %labels travel with the image"},
    {"library", 0, kString, nullptr, kRefuse, kLibrary},
    {"docker-login", 0, kFlag, nullptr, kRefuse, kLogin},
};

constexpr ForeignOption kSign[] = {
    {"all", 'a', kFlag, nullptr, kNothing, "every group is signed where none is named"},
    {"keyidx", 0, kString, nullptr, kRefuse, "name the key: --fingerprint"},
    {"sif-id", 'i', kString, nullptr, kRefuse, "what is signed is a group: --group-id"},
};

constexpr ForeignOption kVerify[] = {
    {"local", 'l', kFlag, nullptr, kNothing, "only keys that you imported count; no server is asked"},
    {"url", 'u', kString, nullptr, kRefuse, "no key server is asked; `slipway key import` trusts a key"},
    {"sif-id", 'i', kString, nullptr, kRefuse, "what is signed is a group: --group-id"},
    {"legacy-insecure", 0, kFlag, nullptr, kRefuse, "such signatures do not cover the whole object"},
    {"ocsp-verify", 0, kFlag, nullptr, kRefuse,
     "no server is asked; a withdrawn certificate is left out of the roots"},
};

constexpr ForeignOption kCacheClean[] = {
    {"force", 'f', kFlag, nullptr, kNothing, "nothing is asked"},
    {"all", 'a', kFlag, nullptr, kNothing, "all of it goes where no --type is given"},
};

constexpr ForeignOption kCacheLs[] = {
    {"all", 'a', kFlag, nullptr, kNothing, "all of it is listed"},
    {"verbose", 'v', kFlag, nullptr, kNothing, "all of it is listed"},
};

struct OfCommand {
  std::string_view name;
  std::span<const ForeignOption> options;
};
constexpr OfCommand kAll[] = {{"build", kBuild},     {"pull", kPull},     {"push", kPush},
                              {"sign", kSign},       {"verify", kVerify}, {"cache clean", kCacheClean},
                              {"cache ls", kCacheLs}};

}  // namespace

std::vector<Option> WithApptainers(const char* command, std::vector<Option> own) {
  for (const OfCommand& one : kAll) {
    if (one.name != command) continue;
    std::vector<Option> hidden = HiddenOptions(one.options);
    own.insert(own.end(), hidden.begin(), hidden.end());
  }
  return own;
}

}  // namespace slipway::cli
