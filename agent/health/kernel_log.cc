// SPDX-License-Identifier: Apache-2.0
#include "agent/health/kernel_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>

namespace slipway {
namespace {

constexpr int kRecordsMax = 100'000;
constexpr std::size_t kRecordBytesMax = 8192;  // the kernel's own bound of a record

// The path may be hidden from us: the device has its number.
bool IsKernelLog(int fd) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 11);
}

Result<UniqueFd> TakeOver(int given) {
  UniqueFd file(::fcntl(given, F_DUPFD_CLOEXEC, 3));
  if (!file) return ErrnoFail("fcntl", "the kernel's log");
  TRY(SetNonblocking(file.get()));
  return file;
}

}  // namespace

Result<KernelLog> KernelLog::Open(const std::string& path, int given) {
  UniqueFd file =
      TRY(IsKernelLog(given) ? TakeOver(given) : slipway::Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  ::lseek(file.get(), 0, SEEK_DATA);  // behind the last clearing; a plain file begins there anyway
  // Opening may be allowed where reading is not.
  char probe = 0;
  if (::read(file.get(), &probe, 0) < 0 && errno == EPERM) return ErrnoFail("read", path);
  return KernelLog(std::move(file));
}

void KernelLog::Read(const std::function<void(std::string_view)>& record) {
  std::array<char, kRecordBytesMax> bytes;
  for (int i = 0; i < kRecordsMax; ++i) {
    ssize_t n = ::read(file_.get(), bytes.data(), bytes.size());
    if (n < 0 && (errno == EPIPE || errno == EINTR)) continue;  // some were overwritten before we came
    if (n <= 0) return;
    record({bytes.data(), static_cast<std::size_t>(n)});
  }
}

}  // namespace slipway
