// SPDX-License-Identifier: Apache-2.0
#include "base/result/result.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace slipway {

std::string_view CodeName(Code code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "ok",        "cancelled",      "unknown",           "invalid argument",   "deadline exceeded",
      "not found", "already exists", "permission denied", "resource exhausted", "failed precondition",
      "aborted",   "out of range",   "unimplemented",     "internal",           "unavailable",
      "data loss", "unauthenticated"};
  auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

Code CodeFromErrno(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENXIO:
    case ESRCH:
    case ENODEV:
      return Code::kNotFound;
    case EEXIST:
    case EADDRINUSE:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
      return Code::kResourceExhausted;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return Code::kInvalidArgument;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case EHOSTUNREACH:
      return Code::kUnavailable;
    case ETIMEDOUT:
      return Code::kDeadlineExceeded;
    case ENOSYS:
    case EOPNOTSUPP:
      return Code::kUnimplemented;
    case EIO:
      return Code::kDataLoss;
    default:
      return Code::kUnknown;
  }
}

Error ErrnoErrorOf(int sys_errno, std::string_view what, std::string_view on) {
  std::string message(what);
  if (!on.empty()) message += Cat(" ", on);
  char text[128];
  message += Cat(": ", static_cast<const char*>(strerror_r(sys_errno, text, sizeof text)));
  return Error{CodeFromErrno(sys_errno), sys_errno, std::move(message)};
}

void CheckFailed(const char* condition, const char* file, int line) {
  std::string text =
      Cat("slipway: internal error: ", file, ":", line, ": CHECK(", condition, ") does not hold\n");
  [[maybe_unused]] auto ignored = write(STDERR_FILENO, text.data(), text.size());
  std::abort();
}

}  // namespace slipway
