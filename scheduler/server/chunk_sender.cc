// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/chunk_sender.h"

#include "api/status.h"

namespace slipway::scheduler {
namespace {

class ChunkSender final : public grpc::ServerWriteReactor<v1::FetchChunk> {
 public:
  explicit ChunkSender(Result<ChunkReader> reader) : reader_(std::move(reader)) {
    reader_ ? Next() : Finish(ToStatus(reader_.error()));
  }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    auto more = reader_->Next(out_);
    if (!more) return Finish(ToStatus(more.error()));
    *more ? StartWrite(&out_) : Finish(grpc::Status::OK);
  }
  Result<ChunkReader> reader_;
  v1::FetchChunk out_;
};

}  // namespace

grpc::ServerWriteReactor<v1::FetchChunk>* SendChunks(Result<ChunkFile> from,
                                                     const v1::FetchRequest& request) {
  if (!from) return new ChunkSender(Failure(from.error()));
  return new ChunkSender(ChunkReader::Of(std::move(*from), request));
}

}  // namespace slipway::scheduler
