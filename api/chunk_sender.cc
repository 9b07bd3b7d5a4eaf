// SPDX-License-Identifier: Apache-2.0
#include "api/chunk_sender.h"

#include <unistd.h>

#include <algorithm>

#include "api/status.h"

namespace slipway {
namespace {

constexpr std::uint64_t kPieceBytes = 1 << 20;

class ChunkSender final : public grpc::ServerWriteReactor<v1::FetchChunk> {
 public:
  ChunkSender(Result<ChunkFile> from, const v1::FetchRequest& request, std::function<void()> done)
      : done_(std::move(done)) {
    if (!from) {
      Finish(ToStatus(from.error()));
      return;
    }
    from_ = std::move(*from);
    if (request.chunk_bytes() != 0 && request.chunk_bytes() != from_.chunk_bytes) {
      Finish({grpc::StatusCode::FAILED_PRECONDITION, "the image is cut into other chunks here"});
      return;
    }
    offset_ = std::uint64_t{request.first_chunk()} * from_.chunk_bytes;
    end_ = request.chunk_count() == 0 ? UINT64_MAX
                                      : offset_ + std::uint64_t{request.chunk_count()} * from_.chunk_bytes;
    Next();
  }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override {
    if (done_) done_();
    delete this;
  }

 private:
  void Next() {
    std::uint64_t left_in_chunk = from_.chunk_bytes - offset_ % from_.chunk_bytes;
    std::size_t wanted = std::min<std::uint64_t>({kPieceBytes, left_in_chunk, end_ - offset_});
    std::string* data = out_.mutable_data();
    data->resize(wanted);
    ssize_t n =
        wanted == 0 ? 0 : ::pread(from_.file->get(), data->data(), wanted, static_cast<off_t>(offset_));
    if (n < 0) return Finish(ToStatus(ErrnoErrorOf(errno, "reading the image")));
    if (n == 0) return Finish(grpc::Status::OK);
    data->resize(static_cast<std::size_t>(n));
    out_.set_index(static_cast<std::uint32_t>(offset_ / from_.chunk_bytes));
    out_.set_offset(static_cast<std::uint32_t>(offset_ % from_.chunk_bytes));
    offset_ += static_cast<std::uint64_t>(n);
    StartWrite(&out_);
  }
  ChunkFile from_;
  std::function<void()> done_;
  std::uint64_t offset_ = 0, end_ = 0;
  v1::FetchChunk out_;
};

}  // namespace

grpc::ServerWriteReactor<v1::FetchChunk>* SendChunks(Result<ChunkFile> from, const v1::FetchRequest& request,
                                                     std::function<void()> done) {
  return new ChunkSender(std::move(from), request, std::move(done));
}

}  // namespace slipway
