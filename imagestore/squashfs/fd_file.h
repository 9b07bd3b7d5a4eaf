// SPDX-License-Identifier: Apache-2.0
// libsquashfs opens files by path; ours come as descriptors, often as a part of a larger file (a SIF's
// partition). FdFile is its file interface over such a part: reads never leave the part, writes grow it.
#pragma once

#include <sqfs/block.h>
#include <sqfs/compressor.h>
#include <sqfs/error.h>
#include <sqfs/io.h>
#include <sqfs/predef.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result/result.h"

namespace slipway::squashfs {

// libsquashfs calls back through the first member, so this is a plain struct that does not move.
struct FdFile {
  sqfs_file_t base{};
  int fd = -1;  // borrowed
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t begun_to_flush = 0;  // bytes that were asked to be written to the disk already
  bool flush_early = false;
  int last_errno = 0;  // of the last system call that failed: libsquashfs only says "I/O error"
};
// Borrowed by every libsquashfs object made on it.
std::unique_ptr<FdFile> MakeFdFile(int fd, std::uint64_t start, std::uint64_t size);

// For the negative codes that libsquashfs returns. With `file`, an I/O error is reported with its errno.
Failure SquashfsFail(int code, std::string_view what, const FdFile* file = nullptr);

#define SQFS_TRY(call, what, file)                                       \
  do {                                                                   \
    int sqfs_code_ = (call);                                             \
    if (sqfs_code_ < 0) return SquashfsFail(sqfs_code_, (what), (file)); \
  } while (false)

struct ObjectDeleter {
  void operator()(void* object) const { sqfs_destroy(object); }
};
template <class T>
using Object = std::unique_ptr<T, ObjectDeleter>;

struct FreeDeleter {
  void operator()(void* memory) const { sqfs_free(memory); }
};
template <class T>
using Freed = std::unique_ptr<T, FreeDeleter>;

}  // namespace slipway::squashfs
