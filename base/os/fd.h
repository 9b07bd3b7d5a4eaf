// SPDX-License-Identifier: Apache-2.0
// A descriptor that nobody owns is leaked into a container or closed twice. UniqueFd owns one; a raw `int fd`
// in a signature is borrowed. Everything here opens with O_CLOEXEC.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"

namespace slipway {

class [[nodiscard]] UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

Result<UniqueFd> Open(const std::string& path, int flags, unsigned mode = 0);
Result<UniqueFd> OpenAt(int dir_fd, const std::string& path, int flags, unsigned mode = 0);
Result<UniqueFd> Dup(int fd);

struct PipeEnds {
  UniqueFd read, write;
};
Result<PipeEnds> MakePipe(int flags = 0);  // O_CLOEXEC is added

Result<> SetCloexec(int fd, bool on);
Result<> SetNonblocking(int fd);

// kInvalidArgument when it is no regular file.
Result<std::uint64_t> SizeOfFile(int fd);
// The whole of `fd` from its current position, refused beyond `bytes_max`.
Result<std::string> ReadAll(int fd, std::size_t bytes_max);
Result<> WriteAll(int fd, std::string_view bytes);
Result<std::string> ReadFile(const std::string& path, std::size_t bytes_max = 16 << 20);
// Makes what was created, renamed or removed in the folder of `path` outlive a crash.
Result<> SyncFolderOf(const std::string& path);
// Writes to a temporary name beside `path`, fsyncs, renames: readers see the old bytes or the new ones.
Result<> WriteFileAtomically(const std::string& path, std::string_view bytes, unsigned mode = 0644);
// The same for what means nothing after a reboot, without the fsync: a machine that loses its power may leave
// the file empty.
Result<> WriteFileForThisBoot(const std::string& path, std::string_view bytes, unsigned mode = 0644);
// pread exactly `buffer.size()` bytes; kOutOfRange at the end of the file.
Result<> ReadExactlyAt(int fd, std::span<std::byte> buffer, std::uint64_t offset);

// To a file that is there and keeps its name: a control file of the kernel's.
Result<> WriteInto(const std::string& path, std::string_view text);
// The names in a directory, without . and .., or none of them and why.
Result<std::vector<std::string>> NamesIn(const std::string& path);
// Whether both paths lead to the same file now; false when one leads to none.
bool IsSameFile(const std::string& a, const std::string& b);
// Closes every descriptor above 2 but these.
Result<> CloseAllBut(std::vector<int> keep);
// The same file, read-only, as a new open file; judged anew by our own rights.
Result<UniqueFd> ReopenReadOnly(int fd);
// That no descriptor and no mapping for writing is left of a file that is open read-only (a read lease can be
// had). Waits a second for the last writer.
Result<> ProveUnwritable(int fd);
// The same, from now on: as long as StillUnwritable, nobody has opened it for writing or truncated it since.
// Ends with the last descriptor of this open file.
Result<> HoldUnwritable(int fd);
bool StillUnwritable(int fd);

// Made where missing and locked for as long as it is open, against other processes; children do not inherit
// the lock. kFailedPrecondition when another has it.
Result<UniqueFd> LockFile(const std::string& path);

// mkdir -p; directories that are there already keep their mode.
Result<> MakeDirectories(const std::string& path, unsigned mode = 0755);
// rm -rf of one directory, never across a file system border, never through a symlink.
Result<> RemoveTree(const std::string& path);
// A new directory 0700 under `parent` with a random name beginning with `prefix`.
Result<std::string> MakeTempDirectory(const std::string& parent, std::string_view prefix);

// An anonymous file whose bytes nobody can change any more (F_SEAL_WRITE|GROW|SHRINK|SEAL), at position 0.
Result<UniqueFd> MakeSealedMemfd(const char* name, std::string_view bytes);
// kPermissionDenied unless all four seals are set.
Result<> CheckSealed(int fd);
// Its bytes, refused unless all four seals are set: an unsealed one could change between check and use.
Result<std::string> ReadSealedMemfd(int fd, std::size_t bytes_max);

}  // namespace slipway
