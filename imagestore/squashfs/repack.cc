// SPDX-License-Identifier: Apache-2.0
// Import: whatever the foreign image's bytes are, the kernel gets only what ImageWriter made of their
// meaning.
#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/source.h"

namespace slipway::squashfs {

namespace {

class Repacker {
 public:
  Repacker(const PackOptions& options) : options_(options), admission_(options.policy, options.limits) {}

  Result<PackSummary> Run(const Window& in, int out_fd) {
    source_ = TRY(Source::Open(in));
    TRY(source_->ReadTree(root_, admission_));
    std::vector<Node*> files = Source::FilesInDataOrder(root_);
    progress_.entries_total = admission_.summary().entries;
    for (const Node* file : files) {
      std::uint64_t size = Source::FileSize(*file->source);
      TRY(admission_.CountBytes(size));
      progress_.bytes_total += size;
    }
    auto time =
        options_.epoch ? static_cast<std::uint32_t>(*options_.epoch) : source_->super().modification_time;
    writer_ = TRY(ImageWriter::Create(out_fd, options_, time));
    TRY(CopyXattrs(root_));
    TRY(CopyXattrsBelow(root_));
    for (Node* file : files) {
      TRY(CopyFile(*file));
      ++progress_.entries;
    }
    PackSummary& summary = admission_.summary();
    summary.bytes_out = TRY(writer_->Finish(root_));
    return std::move(summary);
  }

 private:
  Result<> CopyXattrs(Node& node) {
    return writer_->SetXattrs(node, TRY(source_->ReadXattrs(node, admission_)));
  }

  Result<> CopyXattrsBelow(Node& directory) {
    for (auto& child : directory.children) {
      if (child->same_as == nullptr) TRY(CopyXattrs(*child));
      if (child->IsDirectory()) TRY(CopyXattrsBelow(*child));
    }
    return {};
  }

  Result<> CopyFile(Node& node) {
    TRY(writer_->BeginFile(node));
    TRY(source_->ReadData(*node.source, UINT64_MAX, node.Path(),
                          [this](std::span<const char> bytes) -> Result<> {
                            TRY(writer_->Append(bytes.data(), bytes.size()));
                            progress_.bytes += bytes.size();
                            if (options_.progress) TRY(options_.progress(progress_));
                            return {};
                          }));
    return writer_->EndFile();
  }

  const PackOptions& options_;
  Admission admission_;
  Node root_;
  Progress progress_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<ImageWriter> writer_;  // last: its threads end before the nodes go
};

}  // namespace

Result<PackSummary> Repack(const Window& in, int out_fd, const PackOptions& options) {
  return Repacker(options).Run(in, out_fd);
}

}  // namespace slipway::squashfs
