// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/layer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <climits>
#include <string_view>
#include <vector>

#include "base/os/mount.h"

namespace slipway {
namespace {

constexpr int kSymlinksMax = 40;  // the kernel's own bound

// The components of `path`, put in front of `rest` in reverse (the next one is at the back).
void PushComponents(const std::string& path, std::vector<std::string>& rest) {
  std::vector<std::string> components;
  for (std::size_t start = 0; start < path.size();) {
    auto end = path.find('/', start);
    if (end == std::string::npos) end = path.size();
    if (end > start && path.compare(start, end - start, ".") != 0)
      components.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  rest.insert(rest.end(), components.rbegin(), components.rend());
}

std::string ParentOf(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string_view Field(std::string_view line, int number) {
  for (; number > 0; --number) {
    auto colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    line.remove_prefix(colon + 1);
  }
  return line.substr(0, line.find(':'));
}

bool HasAccount(std::string_view file, std::string_view line) {
  while (!file.empty()) {
    auto end = file.find('\n');
    std::string_view entry = file.substr(0, end);
    if (!entry.empty() && (Field(entry, 0) == Field(line, 0) || Field(entry, 2) == Field(line, 2)))
      return true;
    file.remove_prefix(end == std::string_view::npos ? file.size() : end + 1);
  }
  return false;
}

}  // namespace

bool Layer::Stat(const std::string& path, unsigned& mode, bool& in_layer) const {
  struct stat info {};
  in_layer = used_ && ::fstatat(layer_fd_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (!in_layer && ::fstatat(image_fd_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
  mode = info.st_mode;
  return true;
}

Result<Layer::Place> Layer::Walk(const std::string& target) {
  Place place{"", true, S_IFDIR | 0755};
  std::vector<std::string> rest;
  PushComponents(target, rest);
  int symlinks = 0;
  while (!rest.empty()) {
    std::string name = std::move(rest.back());
    rest.pop_back();
    if (name == "..") {
      place.path = ParentOf(place.path);
      continue;
    }
    std::string here = place.path.empty() ? name : Cat(place.path, "/", name);
    bool in_layer = false;
    if (place.exists && !S_ISDIR(place.mode))
      return Fail(Code::kFailedPrecondition, target, ": /", place.path, " is not a directory in the image");
    if (place.exists && !Stat(here, place.mode, in_layer)) {
      if (errno == EACCES)
        return Fail(Code::kPermissionDenied, "the image's folder /", ParentOf(here),
                    " lets in nobody but its owner: chmod go+rx it where the image is built from");
      if (errno != ENOENT) return ErrnoFail("looking into the image at", Cat("/", here));
      place.exists = false;
    }
    if (place.exists && S_ISLNK(place.mode)) {
      if (++symlinks > kSymlinksMax)
        return Fail(Code::kFailedPrecondition, target, ": too many symbolic links in the image");
      char link[PATH_MAX];
      ssize_t n = ::readlinkat(in_layer ? layer_fd_ : image_fd_, here.c_str(), link, sizeof link);
      if (n < 0) return ErrnoFail("readlink in the image", here);
      if (link[0] == '/') place.path.clear();
      PushComponents(std::string(link, static_cast<std::size_t>(n)), rest);
      place.mode = S_IFDIR | 0755;
      continue;
    }
    place.path = std::move(here);
  }
  return place;
}

// The layer's copy of a folder of the image keeps its mode; what the image lacks is 0755.
Result<> Layer::MakeParents(const std::string& path) {
  used_ = true;
  for (auto end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    std::string part = path.substr(0, end);
    struct stat info {};
    unsigned mode =
        ::fstatat(image_fd_, part.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 ? info.st_mode & 07777 : 0755;
    if (::mkdirat(layer_fd_, part.c_str(), 0700) < 0) {
      if (errno == EEXIST) continue;
      return ErrnoFail("making a folder over the image", part);
    }
    // The owner is us, whoever it was: we must be able to go on making things in there.
    if (::fchmodat(layer_fd_, part.c_str(), mode | 0700, 0) < 0)
      return ErrnoFail("chmod of a folder over the image", part);
  }
  return {};
}

Result<> Layer::NeedMountPoint(const std::string& target, bool directory) {
  Place place = TRY(Walk(target));
  if (place.exists) {
    if (S_ISDIR(place.mode) == directory) return {};
    return Fail(Code::kFailedPrecondition, "cannot mount over ", target, ": the image has a ",
                directory ? "file" : "directory", " there and the source is ",
                directory ? "a directory" : "a file");
  }
  TRY(MakeParents(place.path));
  if (directory) {
    if (::mkdirat(layer_fd_, place.path.c_str(), 0755) < 0)
      return ErrnoFail("making the mount point", target);
    return {};
  }
  TRY_CONTEXT(OpenAt(layer_fd_, place.path, O_WRONLY | O_CREAT | O_EXCL, 0644), "making a mount point");
  return {};
}

Result<> Layer::PutFile(const std::string& target, const std::string& content, unsigned mode) {
  Place place = TRY(Walk(target));
  if (place.exists && S_ISDIR(place.mode))
    return Fail(Code::kFailedPrecondition, "cannot put a file at ", target,
                ": the image has a directory there");
  TRY(MakeParents(place.path));
  UniqueFd fd = TRY(OpenAt(layer_fd_, place.path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  if (::fchmod(fd.get(), mode & 0777) < 0) return ErrnoFail("chmod", target);
  made_.push_back({target, place.path, false});
  return WriteAll(fd.get(), content);
}

Result<> Layer::AddAccountLine(const std::string& target, std::string line) {
  constexpr std::size_t kAccountsBytesMax = 4 << 20;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  line += '\n';
  Place place = TRY(Walk(target));
  std::string accounts;
  if (place.exists) {
    auto fd = OpenInRoot(image_fd_, place.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fd && fd.error().sys_errno != ENOENT) return Failure(std::move(fd).error());
    if (fd) accounts = TRY_CONTEXT(ReadAll(fd->get(), kAccountsBytesMax), Cat("the image's ", target));
  }
  if (HasAccount(accounts, line)) return {};
  if (!accounts.empty() && accounts.back() != '\n') accounts += '\n';
  TRY(PutFile(target, accounts + line, 0644));
  made_.back().account = true;
  return {};
}

}  // namespace slipway
