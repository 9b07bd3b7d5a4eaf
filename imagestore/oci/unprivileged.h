// SPDX-License-Identifier: Apache-2.0
// What strangers packed is taken apart by libarchive and libsquashfs, which were not written for hostile
// input. A user does that with his own rights; root must not do it with root's. Unprivileged runs it in a
// child that is nobody, may gain no rights, and has nothing but the descriptors that were open before.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result/result.h"

namespace slipway::oci {

struct UnprivilegedWork {
  // In the child when we are root, else here. `report` passes a number on to `reported`. What it returns
  // comes back.
  std::function<Result<std::string>(const std::function<void(std::uint64_t)>& report)> work;
  std::function<void(std::uint64_t)> reported;  // may be empty
  const std::atomic<bool>* cancelled = nullptr;
  // May be empty: done here with the caller's rights, in a thread, while the work is done. Its error comes
  // before the work's: that of a layer that is not what it should be, before what became of unpacking it.
  std::function<Result<>()> beside;
  // May be empty: told why the work failed while that may still go on, and answers whether it told that to
  // end. If so its kCancelled is of no interest.
  std::function<bool(const Error&)> gives_up;
};
// The calling process has one thread.
Result<std::string> Unprivileged(const UnprivilegedWork& work);

}  // namespace slipway::oci
