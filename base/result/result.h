// SPDX-License-Identifier: Apache-2.0
// Most things that fail here fail because of somebody's file, disk, kernel or network, so failure is a value
// that says what was attempted, on what, and what the kernel answered. Result<T> is that value; TRY() hands
// it up.
//
// Codes are gRPC's canonical ones (same numbers), so that api/ maps them with one cast. Nothing here throws;
// the exceptions of libraries are caught where the library is called.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace slipway {

enum class Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

std::string_view CodeName(Code code);

namespace internal {
inline void CatOne(std::string& out, std::string_view piece) { out.append(piece); }
inline void CatOne(std::string& out, const char* piece) { out.append(piece); }
inline void CatOne(std::string& out, const std::string& piece) { out.append(piece); }
inline void CatOne(std::string& out, char piece) { out.push_back(piece); }
template <class N>
requires std::is_arithmetic_v<N>
void CatOne(std::string& out, N piece) {
  if constexpr (std::is_same_v<N, bool>) {
    out.append(piece ? "true" : "false");
  } else {
    out.append(std::to_string(piece));
  }
}
}  // namespace internal

// Cat("mounting ", path, ": ", count): strings, characters and numbers joined. The launcher cannot afford a
// formatting library; nobody else needs a second way.
template <class... Pieces>
std::string Cat(const Pieces&... pieces) {
  std::string out;
  (internal::CatOne(out, pieces), ...);
  return out;
}

struct [[nodiscard]] Error {
  Code code = Code::kUnknown;
  int sys_errno = 0;  // 0 when no system call was the cause
  std::string message;

  // "what: message": what the caller was doing. Outer words come first.
  Error Context(std::string_view what) && {
    message.insert(0, ": ");
    message.insert(0, what);
    return std::move(*this);
  }
};

template <class T = void>
using Result = tl::expected<T, Error>;
using Failure = tl::unexpected<Error>;

// The error for `code`; pieces are joined as by Cat.
template <class... Pieces>
Failure Fail(Code code, const Pieces&... pieces) {
  return Failure(Error{code, 0, Cat(pieces...)});
}

Code CodeFromErrno(int sys_errno);

// "what on: <strerror>", code from errno. Reads errno at once: call it first after the failed system call.
Error ErrnoErrorOf(int sys_errno, std::string_view what, std::string_view on = {});
inline Failure ErrnoFail(std::string_view what, std::string_view on = {}) {
  return Failure(ErrnoErrorOf(errno, what, on));
}

namespace internal {
template <class T>
T TakeValue(Result<T>& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace internal

// Evaluates to the value, or returns the error from the enclosing function. Stands alone on the right of `=`
// or as a statement: compilers differ on the order of sibling arguments.
#define TRY(expression)                                                          \
  ({                                                                             \
    auto try_result_ = (expression);                                             \
    if (!try_result_) return ::slipway::Failure(std::move(try_result_).error()); \
    ::slipway::internal::TakeValue(try_result_);                                 \
  })

// The same with words before the error: TRY_CONTEXT(Open(p), Cat("reading settings from ", p)).
#define TRY_CONTEXT(expression, what)                                                          \
  ({                                                                                           \
    auto try_result_ = (expression);                                                           \
    if (!try_result_) return ::slipway::Failure(std::move(try_result_).error().Context(what)); \
    ::slipway::internal::TakeValue(try_result_);                                               \
  })

// What we believe about our own arithmetic; stays on in release. Never for what a user, disk or peer can
// cause.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::slipway::CheckFailed(#condition, __FILE__, __LINE__))

}  // namespace slipway
