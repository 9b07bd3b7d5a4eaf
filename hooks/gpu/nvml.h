// SPDX-License-Identifier: Apache-2.0
// NVIDIA's management library, loaded when it is there: nothing of ours links it. It is the driver's own, may
// take seconds to wake GPUs, and with broken hardware never comes back; so it is asked by a process of its
// own, with a deadline.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "hooks/gpu/discover.h"

namespace slipway {

inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

// Its path on that host, in the first of LibraryFolders that has it; kNvmlLibrary when none has. A driver
// that no loader's cache knows is found so, and what a user's LD_LIBRARY_PATH says is not asked.
std::string NvmlLibraryOf(const HostTree& host);

// Loads `library` on each Ask, in the calling process. kNotFound when it is not there, kUnavailable when it
// cannot work (no driver, or one of another version).
std::unique_ptr<NvmlSource> MakeNvml(std::string library);

// Asks `source`, borrowed, in a child process; kDeadlineExceeded when it does not answer, kInternal when it
// crashes. The child is killed; one that hangs in the kernel is left to it. For programs of one thread.
class NvmlInChild : public NvmlSource {
 public:
  NvmlInChild(NvmlSource& source, std::chrono::milliseconds deadline)
      : source_(source), deadline_(deadline) {}
  Result<NvmlAnswer> Ask() override;

 private:
  NvmlSource& source_;
  std::chrono::milliseconds deadline_;
};

}  // namespace slipway
