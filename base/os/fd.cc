// SPDX-License-Identifier: Apache-2.0
#include "base/os/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>

namespace slipway {

Result<UniqueFd> OpenAt(int dir_fd, const std::string& path, int flags, unsigned mode) {
  int fd;
  do {
    fd = ::openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoFail("open", path);
  return UniqueFd(fd);
}

Result<UniqueFd> Open(const std::string& path, int flags, unsigned mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

Result<UniqueFd> Dup(int fd) {
  int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return ErrnoFail("fcntl(F_DUPFD_CLOEXEC)");
  return UniqueFd(copy);
}

Result<PipeEnds> MakePipe(int flags) {
  int ends[2];
  if (::pipe2(ends, flags | O_CLOEXEC) < 0) return ErrnoFail("pipe2");
  return PipeEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<> SetCloexec(int fd, bool on) {
  if (::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0) return ErrnoFail("fcntl(F_SETFD)");
  return {};
}

Result<> SetNonblocking(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return ErrnoFail("fcntl(F_SETFL)");
  return {};
}

Result<std::uint64_t> SizeOfFile(int fd) {
  struct stat info;
  if (::fstat(fd, &info) < 0) return ErrnoFail("fstat");
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, "it is not a regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::string> ReadAll(int fd, std::size_t bytes_max) {
  std::string bytes;
  char chunk[65536];
  for (;;) {
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("read");
    if (n == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(n) > bytes_max) {
      return Fail(Code::kOutOfRange, "more than ", bytes_max, " bytes");
    }
    bytes.append(chunk, static_cast<std::size_t>(n));
  }
}

Result<> WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::string> ReadFile(const std::string& path, std::size_t bytes_max) {
  UniqueFd fd = TRY(Open(path, O_RDONLY));
  return TRY_CONTEXT(ReadAll(fd.get(), bytes_max), path);
}

namespace {
Result<> ReplaceFile(const std::string& path, std::string_view bytes, unsigned mode, bool sync) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return ErrnoFail("create", temporary);
  auto written = [&]() -> Result<> {
    if (::fchmod(fd.get(), mode) < 0) return ErrnoFail("fchmod", temporary);
    TRY_CONTEXT(WriteAll(fd.get(), bytes), temporary);
    if (sync && ::fsync(fd.get()) < 0) return ErrnoFail("fsync", temporary);
    if (::rename(temporary.c_str(), path.c_str()) < 0) return ErrnoFail("rename to", path);
    return {};
  }();
  if (!written) ::unlink(temporary.c_str());
  return written;
}
}  // namespace

Result<> WriteFileAtomically(const std::string& path, std::string_view bytes, unsigned mode) {
  return ReplaceFile(path, bytes, mode, true);
}
Result<> WriteFileForThisBoot(const std::string& path, std::string_view bytes, unsigned mode) {
  return ReplaceFile(path, bytes, mode, false);
}

Result<> ReadExactlyAt(int fd, std::span<std::byte> buffer, std::uint64_t offset) {
  while (!buffer.empty()) {
    ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("pread");
    if (n == 0) return Fail(Code::kOutOfRange, "the file ends at byte ", offset);
    buffer = buffer.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<> SyncFolderOf(const std::string& path) {
  UniqueFd folder = TRY(Open(path.substr(0, path.rfind('/') + 1), O_RDONLY | O_DIRECTORY));
  if (::fsync(folder.get()) < 0) return ErrnoFail("fsync the folder of", path);
  return {};
}

Result<> MakeDirectories(const std::string& path, unsigned mode) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    std::string part = path.substr(0, end);
    if (!part.empty() && ::mkdir(part.c_str(), mode) < 0 && errno != EEXIST) return ErrnoFail("mkdir", part);
    if (end == std::string::npos) return {};
  }
}

namespace {
Result<> RemoveContents(int dir_fd, dev_t device, int depth) {
  if (depth > 512) return Fail(Code::kOutOfRange, "directories nested deeper than 512");
  UniqueFd copy = TRY(OpenAt(dir_fd, ".", O_RDONLY | O_DIRECTORY));
  DIR* dir = ::fdopendir(copy.get());
  if (dir == nullptr) return ErrnoFail("fdopendir");
  [[maybe_unused]] int owned_by_dir = copy.release();
  Result<> outcome;
  while (outcome) {
    errno = 0;
    dirent* entry = ::readdir(dir);
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(dir_fd, entry->d_name, 0) == 0) continue;
    if (errno != EISDIR && errno != EPERM) {
      outcome = ErrnoFail("unlink", name);
      break;
    }
    outcome = [&]() -> Result<> {
      UniqueFd child = TRY(OpenAt(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      struct stat info;
      if (::fstat(child.get(), &info) < 0) return ErrnoFail("fstat", name);
      if (info.st_dev != device) return Fail(Code::kFailedPrecondition, name, " is a mount point");
      TRY(RemoveContents(child.get(), device, depth + 1));
      if (::unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR) < 0) return ErrnoFail("rmdir", name);
      return {};
    }();
  }
  ::closedir(dir);
  return outcome;
}
}  // namespace

Result<> RemoveTree(const std::string& path) {
  auto top = Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!top) {
    if (top.error().sys_errno == ENOENT) return {};
    return Failure(std::move(top).error());
  }
  struct stat info;
  if (::fstat(top->get(), &info) < 0) return ErrnoFail("fstat", path);
  TRY_CONTEXT(RemoveContents(top->get(), info.st_dev, 0), Cat("removing ", path));
  if (::rmdir(path.c_str()) < 0) return ErrnoFail("rmdir", path);
  return {};
}

Result<std::string> MakeTempDirectory(const std::string& parent, std::string_view prefix) {
  std::string path = Cat(parent, "/", prefix, "XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) return ErrnoFail("mkdtemp", path);
  return path;
}

namespace {
constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
}

Result<UniqueFd> MakeSealedMemfd(const char* name, std::string_view bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return ErrnoFail("memfd_create", name);
  TRY_CONTEXT(WriteAll(fd.get(), bytes), name);
  if (::fcntl(fd.get(), F_ADD_SEALS, kAllSeals) < 0) return ErrnoFail("fcntl(F_ADD_SEALS)", name);
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return ErrnoFail("lseek", name);
  return fd;
}

Result<> CheckSealed(int fd) {
  int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kAllSeals) != kAllSeals)
    return Fail(Code::kPermissionDenied, "not a sealed memfd");
  return {};
}

Result<std::string> ReadSealedMemfd(int fd, std::size_t bytes_max) {
  TRY(CheckSealed(fd));
  if (::lseek(fd, 0, SEEK_SET) < 0) return ErrnoFail("lseek");
  return ReadAll(fd, bytes_max);
}

Result<> WriteInto(const std::string& path, std::string_view text) {
  UniqueFd fd = TRY(Open(path, O_WRONLY));
  TRY_CONTEXT(WriteAll(fd.get(), text), path);
  return {};
}

Result<std::vector<std::string>> NamesIn(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return ErrnoFail("opendir", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;  // what could not be read is not empty
    dirent* entry = ::readdir(dir.get());
    if (entry == nullptr && errno != 0) return ErrnoFail("readdir", path);
    if (entry == nullptr) return names;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat one, other;
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

Result<> CloseAllBut(std::vector<int> keep) {
  auto close = [](unsigned first, unsigned last) { return ::syscall(SYS_close_range, first, last, 0U) == 0; };
  std::sort(keep.begin(), keep.end());
  unsigned from = 3;
  for (int fd : keep) {
    if (fd < 3) continue;
    auto here = static_cast<unsigned>(fd);
    if (here > from && !close(from, here - 1)) return ErrnoFail("close_range");
    from = here + 1;
  }
  if (!close(from, ~0U)) return ErrnoFail("close_range");
  return {};
}

Result<UniqueFd> ReopenReadOnly(int fd) { return Open(Cat("/proc/self/fd/", fd), O_RDONLY); }

Result<> HoldUnwritable(int fd) {
  // Whoever breaks the lease makes the kernel tell us; the usual SIGIO would end us.
  if (::fcntl(fd, F_SETSIG, SIGURG) < 0) return ErrnoFail("fcntl(F_SETSIG)");
  for (int tries = 0; ::fcntl(fd, F_SETLEASE, F_RDLCK) < 0; ++tries) {
    if (errno != EAGAIN) return ErrnoFail("read lease");
    if (tries == 100) return Fail(Code::kFailedPrecondition, "still open for writing somewhere");
    ::usleep(10'000);
  }
  return {};
}

bool StillUnwritable(int fd) { return ::fcntl(fd, F_GETLEASE) == F_RDLCK; }

Result<> ProveUnwritable(int fd) {
  TRY(HoldUnwritable(fd));
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return {};
}

Result<UniqueFd> LockFile(const std::string& path) {
  UniqueFd fd = TRY(Open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  if (::fcntl(fd.get(), F_SETLK, &whole) < 0)
    return Fail(Code::kFailedPrecondition, path, " is locked by another process");
  return fd;
}

}  // namespace slipway
