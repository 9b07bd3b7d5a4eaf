// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/fd_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace slipway::squashfs {

namespace {

constexpr std::uint64_t kFlushEvery = 8 << 20;

FdFile* Of(sqfs_file_t* file) { return reinterpret_cast<FdFile*>(file); }

int ReadAt(sqfs_file_t* base, sqfs_u64 offset, void* buffer, size_t size) {
  FdFile* file = Of(base);
  if (offset > file->size || size > file->size - offset) return SQFS_ERROR_OUT_OF_BOUNDS;
  char* to = static_cast<char*>(buffer);
  while (size > 0) {
    ssize_t n = ::pread(file->fd, to, size, static_cast<off_t>(file->start + offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) file->last_errno = errno;
    if (n < 0) return SQFS_ERROR_IO;
    if (n == 0) return SQFS_ERROR_OUT_OF_BOUNDS;
    to += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<sqfs_u64>(n);
  }
  return 0;
}

int WriteAt(sqfs_file_t* base, sqfs_u64 offset, const void* buffer, size_t size) {
  FdFile* file = Of(base);
  const char* from = static_cast<const char*>(buffer);
  while (size > 0) {
    ssize_t n = ::pwrite(file->fd, from, size, static_cast<off_t>(file->start + offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      file->last_errno = n < 0 ? errno : ENOSPC;
      return SQFS_ERROR_IO;
    }
    from += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<sqfs_u64>(n);
  }
  file->size = std::max(file->size, offset);
  // Whoever flushes at the end should not wait for all of it then.
  if (file->flush_early && offset >= file->begun_to_flush + kFlushEvery) {
    ::sync_file_range(file->fd, static_cast<off_t>(file->start + file->begun_to_flush),
                      static_cast<off_t>(offset - file->begun_to_flush), SYNC_FILE_RANGE_WRITE);
    file->begun_to_flush = offset;
  }
  return 0;
}

sqfs_u64 GetSize(const sqfs_file_t* base) { return reinterpret_cast<const FdFile*>(base)->size; }

int Truncate(sqfs_file_t* base, sqfs_u64 size) {
  FdFile* file = Of(base);
  if (::ftruncate(file->fd, static_cast<off_t>(file->start + size)) < 0) {
    file->last_errno = errno;
    return SQFS_ERROR_IO;
  }
  file->size = size;
  return 0;
}

struct CodeText {
  Code code;
  const char* text;
};

CodeText TextOf(int code) {
  switch (code) {
    case SQFS_ERROR_ALLOC:
      return {Code::kResourceExhausted, "out of memory"};
    case SQFS_ERROR_IO:
      return {Code::kDataLoss, "input/output error"};
    case SQFS_ERROR_COMPRESSOR:
      return {Code::kInvalidArgument, "compressed data is damaged"};
    case SQFS_ERROR_CORRUPTED:
      return {Code::kInvalidArgument, "the file system is damaged"};
    case SQFS_ERROR_UNSUPPORTED:
      return {Code::kUnimplemented, "an unsupported feature"};
    case SQFS_ERROR_OVERFLOW:
      return {Code::kInvalidArgument, "a number in it overflows"};
    case SQFS_ERROR_OUT_OF_BOUNDS:
      return {Code::kInvalidArgument, "it points outside of itself (cut short?)"};
    case SFQS_ERROR_SUPER_MAGIC:
      return {Code::kInvalidArgument, "no squashfs magic"};
    case SFQS_ERROR_SUPER_VERSION:
      return {Code::kInvalidArgument, "not squashfs version 4.0"};
    case SQFS_ERROR_SUPER_BLOCK_SIZE:
      return {Code::kInvalidArgument, "its block size is not a power of two from 4 KiB to 1 MiB"};
    case SQFS_ERROR_NOT_DIR:
      return {Code::kInvalidArgument, "not a directory"};
    case SQFS_ERROR_NO_ENTRY:
      return {Code::kNotFound, "no such file or directory"};
    case SQFS_ERROR_LINK_LOOP:
      return {Code::kInvalidArgument, "a loop of links"};
    case SQFS_ERROR_NOT_FILE:
      return {Code::kInvalidArgument, "not a regular file"};
    default:
      return {Code::kInternal, "internal error of libsquashfs"};
  }
}

}  // namespace

std::unique_ptr<FdFile> MakeFdFile(int fd, std::uint64_t start, std::uint64_t size) {
  auto file = std::make_unique<FdFile>();
  file->base.base.destroy = [](sqfs_object_t*) {};
  file->base.read_at = ReadAt;
  file->base.write_at = WriteAt;
  file->base.get_size = GetSize;
  file->base.truncate = Truncate;
  file->fd = fd;
  file->start = start;
  file->size = size;
  return file;
}

Failure SquashfsFail(int code, std::string_view what, const FdFile* file) {
  if (code == SQFS_ERROR_IO && file != nullptr && file->last_errno != 0) {
    return Failure(ErrnoErrorOf(file->last_errno, what));
  }
  auto [our_code, text] = TextOf(code);
  return Fail(our_code, what, ": ", text);
}

}  // namespace slipway::squashfs
