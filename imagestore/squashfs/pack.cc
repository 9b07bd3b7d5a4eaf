// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/pack.h"

#include <ctime>

#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/tree.h"
#include "imagestore/squashfs/tree_reader.h"
#include "imagestore/squashfs/tree_walk.h"

namespace slipway::squashfs {

namespace {

class DirectoryPacker {
 public:
  DirectoryPacker(int dir_fd, const PackOptions& options, TreeCalls& calls)
      : top_fd_(dir_fd), options_(options), calls_(calls), admission_(options.policy, options.limits) {}

  Result<PackSummary> Run(int out_fd) {
    walk_ = TRY(TreeWalk::Start(top_fd_, root_, options_));
    auto now = static_cast<std::uint32_t>(options_.epoch.value_or(std::time(nullptr)));
    writer_ = TRY(ImageWriter::Create(out_fd, options_, now));
    auto copied = CopyData();
    // Who cancels does not wait for the rest of the look at the tree. For anybody else what it found comes
    // first, so that the error is the same however far the reading got.
    if (copied || copied.error().code != Code::kCancelled) TRY(walk_->Finish());
    TRY(std::move(copied));
    Admission all(options_.policy, options_.limits);
    all.Include(walk_->summary());
    all.Include(admission_.summary());
    all.summary().bytes_out = TRY(writer_->Finish(root_));
    return std::move(all.summary());
  }

 private:
  Result<> CopyData() {
    auto reader = TRY(TreeReader::Start(calls_, top_fd_, *walk_, admission_));
    for (;;) {
      const TreeReader::Batch* batch = TRY(reader->Take());
      if (batch == nullptr) return {};
      const char* bytes = batch->bytes.data();
      for (const TreeReader::Piece& piece : batch->pieces) {
        TRY(CopyPiece(piece, bytes));
        bytes += piece.size;
      }
    }
  }

  Result<> CopyPiece(const TreeReader::Piece& piece, const char* bytes) {
    if (walk_->failed()) return Fail(Code::kAborted, "the tree cannot be packed");  // Finish says why
    TRY(writer_->SetXattrs(*piece.node, piece.xattrs));
    if (piece.begins) TRY(writer_->BeginFile(*piece.node));
    TRY(writer_->Append(bytes, piece.size));
    if (piece.ends) TRY(writer_->EndFile());
    if (piece.ends) progress_.entries = piece.entries;
    progress_.bytes += piece.size;
    if (auto totals = walk_->totals()) {
      progress_.entries_total = totals->entries;
      progress_.bytes_total = totals->bytes;
    }
    return options_.progress && piece.size > 0 ? options_.progress(progress_) : Result<>();
  }

  int top_fd_;
  const PackOptions& options_;
  TreeCalls& calls_;
  Admission admission_;  // of what the reader reads; the walk has its own
  Node root_;
  Progress progress_;
  std::unique_ptr<TreeWalk> walk_;
  std::unique_ptr<ImageWriter> writer_;  // last: its threads end before the nodes go
};

}  // namespace

Result<PackSummary> PackDirectory(int dir_fd, int out_fd, const PackOptions& options) {
  TreeCalls calls;
  return PackDirectory(dir_fd, out_fd, options, calls);
}

Result<PackSummary> PackDirectory(int dir_fd, int out_fd, const PackOptions& options, TreeCalls& calls) {
  return DirectoryPacker(dir_fd, options, calls).Run(out_fd);
}

}  // namespace slipway::squashfs
