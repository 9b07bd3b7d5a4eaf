// SPDX-License-Identifier: Apache-2.0
// Two containers that write to one ext3 image would destroy it, and one that reads while another writes sees
// what is half done.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway {

enum class ExtLock { kReaders, kWriter };

// flock(2) on the open file, which every copy of the descriptor shares: it ends with the last of them, that
// is with the program that serves the file. Waits a second, in which one whose container was just killed
// writes its last blocks. kFailedPrecondition when others have it still. Where a file system has no locks a
// writer is refused, a reader is not. `path` is for the words.
Result<> LockExt(int fd, const std::string& path, ExtLock lock);

}  // namespace slipway
