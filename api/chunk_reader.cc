// SPDX-License-Identifier: Apache-2.0
#include "api/chunk_reader.h"

#include <unistd.h>

#include <algorithm>

namespace slipway {
namespace {

constexpr std::uint64_t kPieceBytes = 1 << 20;

}  // namespace

Result<ChunkReader> ChunkReader::Of(ChunkFile from, const v1::FetchRequest& request) {
  if (request.chunk_bytes() != 0 && request.chunk_bytes() != from.chunk_bytes)
    return Fail(Code::kFailedPrecondition, "the image is cut into other chunks here");
  std::uint64_t offset = std::uint64_t{request.first_chunk()} * from.chunk_bytes;
  std::uint64_t end = request.chunk_count() == 0
                          ? UINT64_MAX
                          : offset + std::uint64_t{request.chunk_count()} * from.chunk_bytes;
  return ChunkReader(std::move(from), offset, end);
}

Result<bool> ChunkReader::Next(v1::FetchChunk& piece) {
  std::uint64_t left_in_chunk = from_.chunk_bytes - offset_ % from_.chunk_bytes;
  std::size_t wanted = std::min<std::uint64_t>({kPieceBytes, left_in_chunk, end_ - offset_});
  if (wanted == 0) return false;
  std::string* data = piece.mutable_data();
  data->resize(wanted);
  ssize_t n = ::pread(from_.file->get(), data->data(), wanted, static_cast<off_t>(offset_));
  if (n < 0) return ErrnoFail("reading", "the image");
  if (n == 0) return false;
  data->resize(static_cast<std::size_t>(n));
  piece.set_index(static_cast<std::uint32_t>(offset_ / from_.chunk_bytes));
  piece.set_offset(static_cast<std::uint32_t>(offset_ % from_.chunk_bytes));
  offset_ += static_cast<std::uint64_t>(n);
  return true;
}

}  // namespace slipway
