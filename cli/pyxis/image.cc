// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/text/text.h"
#include "cli/pyxis/pyxis.h"

namespace slipway::cli {
namespace {

bool StartsLikePath(std::string_view text) {
  for (std::string_view start : {"/", "./", "../", "~/"}) {
    if (text.starts_with(start)) return true;
  }
  return false;
}

bool EndsLikeFile(std::string_view text) {
  for (std::string_view end : {".sif", ".sqsh", ".sqfs", ".squashfs"}) {
    if (text.ends_with(end)) return true;
  }
  return false;
}

}  // namespace

Result<std::string> PyxisImage(std::string_view text,
                               const std::function<bool(const std::string&)>& is_file) {
  std::string whole(text);
  if (text.empty()) return Fail(Code::kInvalidArgument, "--container-image is empty");
  if (text.find("://") != std::string_view::npos && !text.starts_with("docker://")) return whole;
  if (StartsLikePath(text) || EndsLikeFile(text) || is_file(whole)) return whole;
  if (text.starts_with("docker://")) text.remove_prefix(9);
  auto at = text.find('@');
  if (at != std::string_view::npos && !text.substr(at + 1).starts_with("sha256:")) {
    return Fail(
        Code::kInvalidArgument, "--container-image=", whole,
        ": whose password is taken is not said here: ", "write it without ", text.substr(0, at + 1),
        ", and log in once (podman login, skopeo login or docker login); ~/.docker/config.json is read");
  }
  auto mark = text.find('#');
  if (mark == std::string_view::npos) return Cat("docker://", text);
  std::string_view registry = text.substr(0, mark), image = text.substr(mark + 1);
  bool host = registry.find_first_of(".:") != std::string_view::npos || registry == "localhost";
  if (!host || image.empty() || image.find('#') != std::string_view::npos)
    return Fail(Code::kInvalidArgument, "--container-image=", whole,
                ": REGISTRY#IMAGE[:TAG] is wanted, the registry by its whole name (nvcr.io, host:5000)");
  return Cat("docker://", registry, "/", image);
}

Result<std::vector<std::string>> PyxisMounts(std::string_view text) {
  static constexpr std::string_view kNoMatter[] = {
      "rw",       "bind",          "rbind",        "private",       "rprivate", "slave", "rslave",
      "x-create", "x-create=auto", "x-create=dir", "x-create=file", "nosuid",   "nodev"};
  std::vector<std::string> mounts;
  for (const std::string& one : Split(text, ',')) {
    std::vector<std::string> parts = Split(one, ':');
    bool whole = parts.size() <= 3 && !parts[0].empty();
    if (!whole || (parts.size() > 1 && (parts[1].empty() || parts[1][0] != '/')))
      return Fail(Code::kInvalidArgument, "--container-mounts=", one,
                  ": SRC[:DST[:FLAGS]] is wanted, DST an absolute path in the container");
    bool read_only = false;
    for (const std::string& flag : parts.size() == 3 ? Split(parts[2], '+') : std::vector<std::string>()) {
      if (flag == "ro") {
        read_only = true;
      } else if (std::find(std::begin(kNoMatter), std::end(kNoMatter), flag) == std::end(kNoMatter)) {
        return Fail(Code::kInvalidArgument, "--container-mounts=", one, ": '", flag,
                    "' is not to be had; ro and rw are");
      }
    }
    mounts.push_back(parts.size() == 1 ? parts[0] : Cat(parts[0], ":", parts[1], read_only ? ":ro" : ""));
  }
  return mounts;
}

std::vector<std::string> ImagesOfSteps(std::string_view script) {
  constexpr std::string_view kOption = "--container-image";
  std::vector<std::string> images;
  for (std::string& line : Split(script, '\n')) {
    std::string_view rest = Trim(line);
    if (rest.empty() || rest[0] == '#') continue;
    for (std::size_t found; (found = rest.find(kOption)) != std::string_view::npos;) {
      rest.remove_prefix(found + kOption.size());
      if (rest.empty() || (rest[0] != '=' && rest[0] != ' ')) continue;
      rest = Trim(rest.substr(1));
      char quote = !rest.empty() && (rest[0] == '"' || rest[0] == '\'') ? rest[0] : 0;
      if (quote != 0) rest.remove_prefix(1);
      std::string image(rest.substr(0, quote != 0 ? rest.find(quote) : rest.find_first_of(" \t;|&)")));
      if (image.empty() || image.find_first_of("$`\\") != std::string::npos) continue;
      if (std::find(images.begin(), images.end(), image) == images.end()) images.push_back(std::move(image));
    }
  }
  return images;
}

}  // namespace slipway::cli
