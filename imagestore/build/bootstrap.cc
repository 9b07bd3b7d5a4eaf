// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/bootstrap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "imagestore/build/apt_sources.h"
#include "imagestore/build/image_window.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::build {

namespace {

bool InPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (const std::string& directory : Split(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':')) {
    if (::access(Cat(directory, "/", program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// A host behind a proxy, or one whose mirror is a dated snapshot, says so in apt's settings; mmdebstrap's apt
// does not read them.
std::vector<std::string> HostAptSettings() {
  std::vector<std::string> options;
  auto dump = RunAndCapture({.argv = {"apt-config", "dump", "--no-empty", "Acquire"}});
  if (!dump || dump->status.exit_code() != 0) return options;
  for (const std::string& line : Split(dump->out, '\n')) {
    bool wanted = line.starts_with("Acquire::http::Proxy ") || line.starts_with("Acquire::https::Proxy ") ||
                  line.starts_with("Acquire::Check-Valid-Until ") || line.starts_with("Acquire::Check-Date ");
    if (wanted) options.push_back("--aptopt=" + line);
  }
  return options;
}

}  // namespace

Result<std::vector<std::string>> DebootstrapWords(const Recipe& recipe, const std::string& target) {
  std::vector<std::string> words = {"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"};
  for (std::string& setting : HostAptSettings()) words.push_back(std::move(setting));
  if (!recipe.include.empty()) words.push_back("--include=" + Join(recipe.include, ","));
  words.push_back(recipe.os_version);
  words.push_back(target);
  if (!recipe.mirror_url.empty()) {
    words.push_back(Cat("deb ", recipe.mirror_url, " ", recipe.os_version, " main"));
  } else {
    for (std::string& line : TRY(HostAptLines(recipe.os_version))) words.push_back(std::move(line));
  }
  return words;
}

Result<> Debootstrap(const Recipe& recipe, const std::string& target, const RunOptions& run) {
  if (!InPath("mmdebstrap")) {
    return Fail(Code::kNotFound,
                "Bootstrap: debootstrap needs the program mmdebstrap (apt install mmdebstrap)");
  }
  RunOptions options = run;
  options.argv = TRY(DebootstrapWords(recipe, target));
  RunOutcome outcome = TRY(Run(options));
  if (outcome.status.exit_code() == 0) return {};
  return Fail(Code::kFailedPrecondition, recipe.name, ":", recipe.bootstrap_line,
              ": mmdebstrap ended with exit code ", outcome.status.exit_code(), "; its last lines:\n  ",
              Join(outcome.last_lines, "\n  "));
}

Result<> UnpackLocalImage(const std::string& from, const std::string& root,
                          const std::atomic<bool>* cancelled) {
  UniqueFd image = TRY(Open(from, O_RDONLY));
  UniqueFd target = TRY(Open(root, O_RDONLY | O_DIRECTORY));
  squashfs::PackOptions options;
  options.policy.ids_to_root = false;
  options.policy.set_id = squashfs::Treatment::kKeep;  // packing decides
  options.progress = [cancelled](const squashfs::Progress&) -> Result<> {
    if (cancelled != nullptr && cancelled->load()) return Fail(Code::kCancelled, "cancelled");
    return {};
  };
  ImageWindow window = TRY_CONTEXT(FindImage(image.get()), from);
  TRY_CONTEXT(squashfs::Unpack(window.squashfs, target.get(), options), from);
  return {};
}

}  // namespace slipway::build
