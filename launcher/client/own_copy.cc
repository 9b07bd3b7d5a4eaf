// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/own_copy.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace slipway {
namespace {

// MFD_EXEC says since Linux 6.3 what was always so; older kernels do not know the word.
Result<UniqueFd> ExecutableMemfd() {
  constexpr unsigned kMfdExec = 0x10;
  int fd = ::memfd_create("slipway-starter", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdExec);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create("slipway-starter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return ErrnoFail("memfd_create");
  return UniqueFd(fd);
}

// How much of an ELF file is ever mapped: what follows is for debuggers and as large again. All of it when
// the headers are not what they should be.
off_t MappedBytes(int fd, off_t size) {
  ElfW(Ehdr) header{};
  if (::pread(fd, &header, sizeof header, 0) != sizeof header || header.e_phentsize != sizeof(ElfW(Phdr)))
    return size;
  std::vector<ElfW(Phdr)> segments(header.e_phnum);
  auto bytes = static_cast<ssize_t>(segments.size() * sizeof(ElfW(Phdr)));
  if (::pread(fd, segments.data(), static_cast<std::size_t>(bytes), static_cast<off_t>(header.e_phoff)) !=
      bytes)
    return size;
  off_t end = 0;
  for (const auto& segment : segments)
    end = std::max(end, static_cast<off_t>(segment.p_offset + segment.p_filesz));
  return end > 0 && end < size ? end : size;
}

}  // namespace

Result<UniqueFd> SealedCopyIfWritable(const std::string& program) {
  UniqueFd file = TRY(Open(program, O_RDONLY));
  struct stat info {};
  if (::fstat(file.get(), &info) < 0) return ErrnoFail("fstat", program);
  if (info.st_uid != ::geteuid() && ::faccessat(AT_FDCWD, program.c_str(), W_OK, AT_EACCESS) != 0)
    return UniqueFd();
  UniqueFd copy = TRY(ExecutableMemfd());
  for (off_t left = MappedBytes(file.get(), info.st_size); left > 0;) {
    ssize_t n = ::sendfile(copy.get(), file.get(), nullptr, static_cast<std::size_t>(left));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoFail("copying", program);
    left -= n;
  }
  if (::fchmod(copy.get(), 0500) < 0) return ErrnoFail("fchmod");
  if (::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
    return ErrnoFail("sealing the copy of", program);
  return copy;
}

}  // namespace slipway
