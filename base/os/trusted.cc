// SPDX-License-Identifier: Apache-2.0
#include "base/os/trusted.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

Result<> CheckOwner(const struct stat& info, uid_t owner, const std::string& path) {
  if (info.st_uid != 0 && info.st_uid != owner)
    return Fail(Code::kPermissionDenied, path, " belongs to user ", info.st_uid,
                ": it must be root's or our own");
  // A directory with the sticky bit (/tmp) keeps others from removing what is ours, but not from planting
  // names.
  if ((info.st_mode & 022) != 0)
    return Fail(Code::kPermissionDenied, path, " can be written by others than its owner");
  return {};
}

}  // namespace

Result<std::string> ReadTrustedFile(const std::string& path, uid_t owner) {
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (::fstat(fd.get(), &info) < 0) return ErrnoFail("fstat", path);
  if (!S_ISREG(info.st_mode)) return Fail(Code::kPermissionDenied, path, " is not a regular file");
  TRY(CheckOwner(info, owner, path));
  return TRY_CONTEXT(ReadAll(fd.get(), 64 << 10), path);
}

Result<> MakeTrustedDirectory(const std::string& path, uid_t owner, unsigned mode) {
  TRY(MakeDirectories(path, mode));
  struct stat info;
  if (::stat(path.c_str(), &info) < 0) return ErrnoFail("stat", path);
  if (!S_ISDIR(info.st_mode)) return Fail(Code::kInvalidArgument, path, " is not a directory");
  return CheckOwner(info, owner, path);
}

}  // namespace slipway
