// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/root_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>

#include "base/os/mount.h"
#include "base/text/text.h"

namespace slipway::build {

Result<RootDir> RootDir::Open(const std::string& path) {
  RootDir root;
  root.path_ = path;
  root.fd_ = TRY(slipway::Open(path, O_RDONLY | O_DIRECTORY));
  return root;
}

Result<> RootDir::MakeDirectories(const std::string& path, unsigned mode) const {
  std::string done;
  for (const std::string& part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Fail(Code::kInvalidArgument, path, ": \"..\" in a path of the image");
    std::string next = Cat(done, "/", part);
    if (!IsDirectory(next)) {
      UniqueFd parent = TRY(OpenInRoot(fd_.get(), done.empty() ? "/" : done, O_PATH | O_DIRECTORY));
      if (::mkdirat(parent.get(), part.c_str(), mode) < 0) return ErrnoFail("mkdir (in the image)", next);
      // Whatever the umask is.
      UniqueFd made = TRY(OpenAt(parent.get(), part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (::fchmod(made.get(), mode) < 0) return ErrnoFail("chmod (in the image)", next);
    }
    done = next;
  }
  return {};
}

Result<RootDir::Place> RootDir::PlaceOf(const std::string& path) const {
  std::size_t slash = path.find_last_of('/');
  std::string parent = slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    return Fail(Code::kInvalidArgument, path, ": not a file's path");
  return Place{TRY(OpenInRoot(fd_.get(), parent, O_PATH | O_DIRECTORY)), name};
}

Result<> RootDir::WriteFile(const std::string& path, std::string_view bytes, unsigned mode) const {
  Place place = TRY(PlaceOf(path));
  if (::unlinkat(place.parent.get(), place.name.c_str(), 0) < 0 && errno != ENOENT)
    return ErrnoFail("replace (in the image)", path);
  UniqueFd fd = TRY(OpenAt(place.parent.get(), place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY_CONTEXT(WriteAll(fd.get(), bytes), path);
  if (::fchmod(fd.get(), mode) < 0) return ErrnoFail("chmod (in the image)", path);
  return {};
}

Result<> RootDir::Symlink(const std::string& path, const std::string& target) const {
  Place place = TRY(PlaceOf(path));
  if (::unlinkat(place.parent.get(), place.name.c_str(), 0) < 0 && errno != ENOENT)
    return ErrnoFail("replace (in the image)", path);
  if (::symlinkat(target.c_str(), place.parent.get(), place.name.c_str()) < 0)
    return ErrnoFail("symlink (in the image)", path);
  return {};
}

Result<std::string> RootDir::ReadFile(const std::string& path, std::size_t bytes_max) const {
  UniqueFd fd = TRY(OpenInRoot(fd_.get(), path, O_RDONLY | O_NONBLOCK));
  return TRY_CONTEXT(ReadAll(fd.get(), bytes_max), path);
}

bool RootDir::Exists(const std::string& path) const {
  return OpenInRoot(fd_.get(), path, O_PATH).has_value();
}

bool RootDir::IsDirectory(const std::string& path) const {
  return OpenInRoot(fd_.get(), path, O_PATH | O_DIRECTORY).has_value();
}

Result<> RootDir::Remove(const std::string& path) const {
  auto place = PlaceOf(path);
  if (!place)
    return place.error().code == Code::kNotFound ? Result<>() : Result<>(Failure(std::move(place).error()));
  if (::unlinkat(place->parent.get(), place->name.c_str(), 0) < 0 && errno != ENOENT)
    return ErrnoFail("remove (in the image)", path);
  return {};
}

namespace {

Result<> CopyBytes(int from_fd, int to_fd) {
  char buffer[1 << 16];
  for (;;) {
    ssize_t n = ::read(from_fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("read");
    if (n == 0) return {};
    TRY(WriteAll(to_fd, {buffer, static_cast<std::size_t>(n)}));
  }
}

}  // namespace

// What `fd` is, a file or a directory; `child` copies what is in a directory.
Result<> RootDir::CopyOpened(int fd, const std::string& source, const std::string& destination,
                             const std::function<Result<>(const std::string& name)>& child) const {
  struct stat info;
  if (::fstat(fd, &info) < 0) return ErrnoFail("%files: copy", source);
  if (S_ISREG(info.st_mode)) {
    Place place = TRY(PlaceOf(destination));
    if (::unlinkat(place.parent.get(), place.name.c_str(), 0) < 0 && errno != ENOENT)
      return ErrnoFail("%files: replace", destination);
    UniqueFd to = TRY(OpenAt(place.parent.get(), place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    TRY_CONTEXT(CopyBytes(fd, to.get()), source);
    if (::fchmod(to.get(), info.st_mode & 0777) < 0) return ErrnoFail("%files: chmod", destination);
    return {};
  }
  if (!S_ISDIR(info.st_mode))
    return Fail(Code::kInvalidArgument, "%files: ", source, " is neither a file nor a directory");
  TRY(MakeDirectories(destination));
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  UniqueFd own = TRY(Dup(fd));
  std::unique_ptr<DIR, Close> dir(::fdopendir(own.get()));
  if (!dir) return ErrnoFail("%files: read", source);
  [[maybe_unused]] int owned_by_dir = own.release();
  while (dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") TRY(child(name));
  }
  return {};
}

Result<> RootDir::CopyIn(const std::string& source, const std::string& destination) const {
  UniqueFd from = TRY_CONTEXT(slipway::Open(source, O_RDONLY | O_NONBLOCK), "%files: copy");
  return CopyOpened(from.get(), source, destination, [&](const std::string& name) {
    return CopyIn(source + "/" + name, destination + "/" + name);
  });
}

Result<> RootDir::CopyFrom(const RootDir& root, const std::string& source,
                           const std::string& destination) const {
  UniqueFd from = TRY_CONTEXT(OpenInRoot(root.fd(), source, O_RDONLY | O_NONBLOCK), "%files: copy");
  return CopyOpened(from.get(), source, destination, [&](const std::string& name) {
    return CopyFrom(root, source + "/" + name, destination + "/" + name);
  });
}

}  // namespace slipway::build
