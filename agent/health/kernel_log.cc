// SPDX-License-Identifier: Apache-2.0
#include "agent/health/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace slipway {
namespace {

constexpr int kRecordsMax = 100'000;
constexpr std::size_t kRecordBytesMax = 8192;  // the kernel's own bound of a record

}  // namespace

Result<KernelLog> KernelLog::Open(const std::string& path) {
  UniqueFd file = TRY(slipway::Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
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
