// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/ext_lock.h"

#include <sys/file.h>
#include <unistd.h>

namespace slipway {
namespace {

constexpr int kTries = 50;
constexpr unsigned kBetween_us = 20'000;

}  // namespace

Result<> LockExt(int fd, const std::string& path, ExtLock lock) {
  int operation = (lock == ExtLock::kWriter ? LOCK_EX : LOCK_SH) | LOCK_NB;
  int outcome = ::flock(fd, operation);
  for (int tries = 1; tries < kTries && outcome < 0 && (errno == EWOULDBLOCK || errno == EINTR); ++tries) {
    ::usleep(kBetween_us);
    outcome = ::flock(fd, operation);
  }
  if (outcome == 0) return {};
  if (errno == EWOULDBLOCK) {
    return Fail(
        Code::kFailedPrecondition, path,
        lock == ExtLock::kWriter
            ? ": is in use by another container, and an ext3 image is written to by one that has it alone; "
              "wait for the other's end, or use a copy"
            : ": another container writes to it; wait for the other's end, or use a copy");
  }
  if (lock == ExtLock::kReaders) return {};
  return Failure(ErrnoErrorOf(errno, "locking", path)
                     .Context("an ext3 image is written to only where it can be locked against a second "
                              "writer; use it read-only (:ro), or move it to another file system"));
}

}  // namespace slipway
