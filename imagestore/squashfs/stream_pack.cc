// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/stream_pack.h"

#include <algorithm>

#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/layer_merge.h"

namespace slipway::squashfs {

namespace {

class LayerPacker {
 public:
  LayerPacker(const std::vector<Layer>& layers, const LayerPackOptions& options)
      : layers_(layers),
        options_(options),
        admission_(options.pack.policy, options.pack.limits),
        time_max_(options.pack.epoch ? static_cast<std::uint32_t>(
                                           std::clamp<std::int64_t>(*options.pack.epoch, 0, UINT32_MAX))
                                     : UINT32_MAX),
        merge_(root_, admission_, time_max_) {}

  Result<PackSummary> Run(int out_fd) {
    writer_ =
        TRY(ImageWriter::Create(out_fd, options_.pack, options_.pack.epoch ? time_max_ : options_.time));
    TRY(admission_.CountEntry(0));
    merge_.BeginLayer();
    for (const AddedFile& file : options_.over) TRY(Put(file, false));
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      numbers_.push_back(merge_.BeginLayer());
      TRY_CONTEXT(ReadLayer(*layer), layer->name);
    }
    merge_.BeginLayer();
    for (const AddedFile& file : options_.under) TRY(Put(file, true));
    TRY(merge_.Settle());
    TRY(ReadWantedAgain());
    TRY(merge_.Finish());
    TRY(root_.Sort());
    LinkUp(root_);
    if (time_max_ == UINT32_MAX) DateImplied(root_);
    PackSummary& summary = admission_.summary();
    summary.bytes_out = TRY(writer_->Finish(root_));
    return std::move(summary);
  }

 private:
  Result<> Put(const AddedFile& file, bool only_if_missing) {
    LayerEntry entry{.path = file.path, .mode = file.mode, .mtime = time_max_ == UINT32_MAX ? 0 : time_max_};
    if (S_ISLNK(file.mode)) entry.target = file.content;
    Node* node = TRY(only_if_missing ? merge_.AddIfMissing(entry) : merge_.Add(entry));
    if (node == nullptr || !node->IsFile()) return {};
    TRY(admission_.CountBytes(file.content.size()));
    TRY(writer_->BeginFile(*node));
    TRY(writer_->Append(file.content.data(), file.content.size()));
    return writer_->EndFile();
  }

  Result<> ReadLayer(const Layer& layer) {
    TarStream tar = TRY(TarStream::Open(TRY(layer.open()), TarStream::Reading::kAhead));
    for (;;) {
      auto entry = TRY(tar.Next());
      if (!entry) return tar.Drain();
      Node* node = TRY(merge_.Add(entry->entry));
      if (node == nullptr) {
        TRY(CountSkipped(entry->size));
        continue;
      }
      TRY(CopyXattrs(*node, entry->xattrs));
      if (node->IsFile()) TRY(CopyData(tar, entry->size, *node));
    }
  }

  Result<> ReadWantedAgain() {
    for (std::size_t i = 0; i < numbers_.size() && merge_.wants_more(); ++i) {
      const Layer& layer = layers_[layers_.size() - 1 - i];
      TarStream tar = TRY(TarStream::Open(TRY(layer.open()), TarStream::Reading::kAhead));
      for (auto entry = TRY(tar.Next()); entry && merge_.wants_more(); entry = TRY(tar.Next())) {
        Node* node = TRY_CONTEXT(merge_.Again(numbers_[i], entry->entry), layer.name);
        if (node == nullptr) continue;
        TRY(CopyXattrs(*node, entry->xattrs));
        if (node->IsFile()) TRY(CopyData(tar, entry->size, *node));
      }
      // Names of names point backwards in the same layer.
      TRY(merge_.Settle());
    }
    return {};
  }

  // What is hidden is still unpacked: it counts against the limit, too.
  Result<> CountSkipped(std::uint64_t bytes) {
    skipped_ += bytes;
    if (bytes > options_.pack.limits.bytes_max || skipped_ > options_.pack.limits.bytes_max)
      return Fail(Code::kOutOfRange, "more than ", options_.pack.limits.bytes_max, " bytes of file data",
                  SetBy(options_.pack.limits.bytes_setting));
    return {};
  }

  Result<> CopyXattrs(Node& node, const std::vector<Xattr>& xattrs) {
    std::vector<Xattr> kept;
    for (const Xattr& xattr : xattrs) {
      if (TRY(admission_.AdmitXattr(node, xattr.key))) kept.push_back(xattr);
    }
    return writer_->SetXattrs(node, kept);
  }

  Result<> CopyData(TarStream& tar, std::uint64_t size, Node& node) {
    TRY(admission_.CountBytes(size));
    TRY(writer_->BeginFile(node));
    for (;;) {
      auto bytes = TRY(tar.Read());
      if (bytes.empty()) break;
      TRY(writer_->Append(bytes.data(), bytes.size()));
      progress_.bytes += bytes.size();
      if (options_.pack.progress) TRY(options_.pack.progress(progress_));
    }
    ++progress_.entries;
    return writer_->EndFile();
  }

  // A directory that no layer names, only what is in it, has the time of the newest of that.
  static std::uint32_t DateImplied(Node& directory) {
    std::uint32_t newest = 0;
    for (auto& child : directory.children)
      newest = std::max(newest, child->IsDirectory() ? DateImplied(*child) : child->mtime);
    if (directory.implied && directory.mtime == UINT32_MAX) directory.mtime = newest;
    return directory.mtime;
  }

  const std::vector<Layer>& layers_;
  const LayerPackOptions& options_;
  Admission admission_;
  Node root_;
  std::uint32_t time_max_;
  LayerMerge merge_;
  std::vector<int> numbers_;  // of the layers, from the top
  std::uint64_t skipped_ = 0;
  Progress progress_;
  std::unique_ptr<ImageWriter> writer_;  // last: its threads end before the nodes go
};

}  // namespace

Result<PackSummary> PackLayers(const std::vector<Layer>& layers, int out_fd,
                               const LayerPackOptions& options) {
  return LayerPacker(layers, options).Run(out_fd);
}

}  // namespace slipway::squashfs
