// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/image_writer.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace slipway::squashfs {

namespace {

constexpr std::uint32_t kBlockSize = SQFS_DEFAULT_BLOCK_SIZE;
constexpr std::uint64_t kPadding = 4096;
constexpr unsigned kBacklog = 64, kBacklogMax = 512;  // blocks that wait: for each thread, in all (64 MiB)
constexpr char kWriting[] = "writing the squashfs";

unsigned Workers(unsigned wanted) {
  if (wanted != 0) return wanted;
  cpu_set_t cpus;
  int count = ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  return static_cast<unsigned>(std::clamp(count, 1, 16));
}

SQFS_COMPRESSOR IdOf(Compressor compressor) {
  switch (compressor) {
    case Compressor::kGzip:
      return SQFS_COMP_GZIP;
    case Compressor::kXz:
      return SQFS_COMP_XZ;
    case Compressor::kLz4:
      return SQFS_COMP_LZ4;
    case Compressor::kZstd:
      break;
  }
  return SQFS_COMP_ZSTD;
}

Result<Object<sqfs_compressor_t>> MakeCompressor(const PackOptions& options, std::uint16_t flags) {
  sqfs_compressor_config_t config;
  SQFS_TRY(sqfs_compressor_config_init(&config, IdOf(options.compressor), kBlockSize, flags), "compressing",
           nullptr);
  if (flags == 0 && options.compressor == Compressor::kZstd)
    config.level = static_cast<sqfs_u32>(options.zstd_level);
  sqfs_compressor_t* made = nullptr;
  SQFS_TRY(sqfs_compressor_create(&config, &made), "this libsquashfs lacks the compressor", nullptr);
  return Object<sqfs_compressor_t>(made);
}

Freed<sqfs_inode_generic_t> NewInode(std::uint16_t type, std::size_t payload) {
  auto* inode =
      static_cast<sqfs_inode_generic_t*>(std::calloc(1, sizeof(sqfs_inode_generic_t) + payload + 1));
  if (inode != nullptr) inode->base.type = type;
  return Freed<sqfs_inode_generic_t>(inode);
}

}  // namespace

std::optional<Compressor> CompressorOf(std::string_view name) {
  if (name == "zstd") return Compressor::kZstd;
  if (name == "gzip") return Compressor::kGzip;
  if (name == "xz") return Compressor::kXz;
  if (name == "lz4") return Compressor::kLz4;
  return std::nullopt;
}

Result<std::unique_ptr<ImageWriter>> ImageWriter::Create(int out_fd, const PackOptions& options,
                                                         std::uint32_t time) {
  std::unique_ptr<ImageWriter> writer(new ImageWriter);
  ImageWriter& w = *writer;
  w.file_ = MakeFdFile(out_fd, options.out_offset, 0);
  w.file_->flush_early = options.flush_early;
  w.compressor_ = TRY(MakeCompressor(options, 0));
  w.uncompressor_ = TRY(MakeCompressor(options, SQFS_COMP_FLAG_UNCOMPRESS));
  SQFS_TRY(sqfs_super_init(&w.super_, kBlockSize, time, IdOf(options.compressor)), kWriting, nullptr);
  SQFS_TRY(sqfs_super_write(&w.super_, &w.file_->base), kWriting, w.file_.get());
  int option_bytes = w.compressor_->write_options(w.compressor_.get(), &w.file_->base);
  SQFS_TRY(option_bytes, kWriting, w.file_.get());
  if (option_bytes > 0) w.super_.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS;

  w.ids_.reset(sqfs_id_table_create(0));
  w.fragments_.reset(sqfs_frag_table_create(0));
  w.xattrs_.reset(sqfs_xattr_writer_create(0));
  w.blocks_.reset(sqfs_block_writer_create(&w.file_->base, SQFS_DEVBLK_SIZE, 0));
  w.inode_meta_.reset(sqfs_meta_writer_create(&w.file_->base, w.compressor_.get(), 0));
  w.directory_meta_.reset(
      sqfs_meta_writer_create(&w.file_->base, w.compressor_.get(), SQFS_META_WRITER_KEEP_IN_MEMORY));
  if (!w.ids_ || !w.fragments_ || !w.xattrs_ || !w.blocks_ || !w.inode_meta_ || !w.directory_meta_) {
    return SquashfsFail(SQFS_ERROR_ALLOC, kWriting);
  }
  w.directories_.reset(sqfs_dir_writer_create(w.directory_meta_.get(), SQFS_DIR_WRITER_CREATE_EXPORT_TABLE));
  if (!w.directories_) return SquashfsFail(SQFS_ERROR_ALLOC, kWriting);

  sqfs_block_processor_desc_t wanted{};
  wanted.size = sizeof wanted;
  wanted.max_block_size = kBlockSize;
  wanted.num_workers = Workers(options.workers);
  // Small files are blocks, too. With the ten for each thread that tar2sqfs allows, everybody sleeps and
  // wakes for every few kilobytes of them: twice the context switches, a tenth of the time.
  wanted.max_backlog = std::min(kBacklog * wanted.num_workers, kBacklogMax);
  wanted.cmp = w.compressor_.get();
  wanted.wr = w.blocks_.get();
  wanted.tbl = w.fragments_.get();
  wanted.file = &w.file_->base;
  wanted.uncmp = w.uncompressor_.get();
  sqfs_block_processor_t* processor = nullptr;
  SQFS_TRY(sqfs_block_processor_create_ex(&wanted, &processor), "starting the compressing threads", nullptr);
  w.processor_.reset(processor);
  return writer;
}

// An image that is given up half-way: libsquashfs 1.2 forgets the blocks that its threads still hold. Waiting
// for them takes them back; what the wait answers is of no interest any more.
ImageWriter::~ImageWriter() {
  if (processor_) (void)sqfs_block_processor_sync(processor_.get());
}

Result<> ImageWriter::BeginFile(Node& file) {
  SQFS_TRY(sqfs_block_processor_begin_file(processor_.get(), &file.made, nullptr, 0), kWriting, file_.get());
  return {};
}

Result<> ImageWriter::Append(const void* bytes, std::size_t size) {
  if (size == 0) return {};  // libsquashfs 1.2 crashes on it
  SQFS_TRY(sqfs_block_processor_append(processor_.get(), bytes, size), kWriting, file_.get());
  return {};
}

Result<> ImageWriter::EndFile() {
  SQFS_TRY(sqfs_block_processor_end_file(processor_.get()), kWriting, file_.get());
  return {};
}

Result<> ImageWriter::SetXattrs(Node& node, const std::vector<Xattr>& xattrs) {
  if (xattrs.empty()) return {};
  SQFS_TRY(sqfs_xattr_writer_begin(xattrs_.get(), 0), kWriting, file_.get());
  for (const Xattr& xattr : xattrs) {
    SQFS_TRY(sqfs_xattr_writer_add(xattrs_.get(), xattr.key.c_str(), xattr.value.data(), xattr.value.size()),
             kWriting, nullptr);
  }
  SQFS_TRY(sqfs_xattr_writer_end(xattrs_.get(), &node.xattr), kWriting, nullptr);
  return {};
}

// Subdirectories first, then what this directory holds side by side: an entry stores the distance to its
// inode's number in 16 bits.
Result<> ImageWriter::Number(Node& directory) {
  for (auto& child : directory.children) {
    if (child->IsDirectory()) TRY(Number(*child));
  }
  for (auto& child : directory.children) {
    if (child->same_as == nullptr) child->number = next_number_++;
  }
  return {};
}

Result<> ImageWriter::MakeInode(Node& node) {
  if (node.data_from != nullptr) {
    if (node.made == nullptr) node.made = std::exchange(node.data_from->made, nullptr);
    node.xattr = node.data_from->xattr;
  }
  sqfs_inode_generic_t* inode = node.made;
  if (!node.IsDirectory() && !node.IsFile()) {
    bool symlink = S_ISLNK(node.mode), device = S_ISCHR(node.mode) || S_ISBLK(node.mode);
    std::uint16_t type = symlink               ? SQFS_INODE_SLINK
                         : S_ISCHR(node.mode)  ? SQFS_INODE_CDEV
                         : S_ISBLK(node.mode)  ? SQFS_INODE_BDEV
                         : S_ISFIFO(node.mode) ? SQFS_INODE_FIFO
                                               : SQFS_INODE_SOCKET;
    node.made = inode = NewInode(type, node.target.size()).release();
    if (inode == nullptr) return SquashfsFail(SQFS_ERROR_ALLOC, kWriting);
    inode->data.dev.nlink = node.links;  // the first field of all three kinds
    if (device) inode->data.dev.devno = node.device;
    if (symlink) {
      inode->data.slink.target_size = static_cast<sqfs_u32>(node.target.size());
      std::memcpy(inode->extra, node.target.data(), node.target.size());
    }
  }
  CHECK(inode != nullptr);
  inode->base.mode = static_cast<sqfs_u16>(node.mode);
  inode->base.mod_time = node.mtime;
  inode->base.inode_number = node.number;
  SQFS_TRY(sqfs_id_table_id_to_index(ids_.get(), node.uid, &inode->base.uid_idx), "owners", nullptr);
  SQFS_TRY(sqfs_id_table_id_to_index(ids_.get(), node.gid, &inode->base.gid_idx), "groups", nullptr);
  if (node.IsFile() && node.links > 1) {
    SQFS_TRY(sqfs_inode_make_extended(inode), kWriting, nullptr);
    inode->data.file_ext.nlink = node.links;
  }
  if (node.xattr != kNoXattr && !node.IsDirectory())
    SQFS_TRY(sqfs_inode_set_xattr_index(inode, node.xattr), kWriting, nullptr);
  return {};
}

Result<> ImageWriter::MakeDirectoryInode(Node& node) {
  std::uint32_t parent = node.parent != nullptr ? node.parent->number : super_.inode_count + 1;
  node.made = sqfs_dir_writer_create_inode(directories_.get(), 0, node.xattr, parent);
  if (node.made == nullptr) return SquashfsFail(SQFS_ERROR_ALLOC, kWriting);
  return MakeInode(node);
}

Result<> ImageWriter::WriteInode(Node& node) {
  sqfs_u64 block;
  sqfs_u32 offset;
  sqfs_meta_writer_get_position(inode_meta_.get(), &block, &offset);
  node.reference = (block << 16) | offset;
  SQFS_TRY(sqfs_meta_writer_write_inode(inode_meta_.get(), node.made), kWriting, file_.get());
  sqfs_free(std::exchange(node.made, nullptr));
  return {};
}

Result<> ImageWriter::Serialize(Node& directory) {
  for (auto& child : directory.children) {
    if (child->IsDirectory()) TRY(Serialize(*child));
  }
  for (auto& child : directory.children) {
    if (child->same_as != nullptr) continue;
    if (!child->IsDirectory()) TRY(MakeInode(*child));
    TRY(WriteInode(*child));
  }
  SQFS_TRY(sqfs_dir_writer_begin(directories_.get(), 0), kWriting, nullptr);
  for (auto& child : directory.children) {
    const Node& file = child->same_as != nullptr ? *child->same_as : *child;
    CHECK(file.reference != 0 || file.number == 1);
    SQFS_TRY(sqfs_dir_writer_add_entry(directories_.get(), child->name.c_str(), file.number, file.reference,
                                       static_cast<sqfs_u16>(file.mode)),
             kWriting, nullptr);
  }
  SQFS_TRY(sqfs_dir_writer_end(directories_.get()), kWriting, nullptr);
  return MakeDirectoryInode(directory);
}

Result<std::uint64_t> ImageWriter::Finish(Node& root) {
  SQFS_TRY(sqfs_block_processor_finish(processor_.get()), kWriting, file_.get());
  TRY(Number(root));
  root.number = next_number_;
  super_.inode_count = root.number;
  super_.inode_table_start = file_->size;
  TRY(Serialize(root));
  TRY(WriteInode(root));
  super_.root_inode_ref = root.reference;
  SQFS_TRY(sqfs_meta_writer_flush(inode_meta_.get()), kWriting, file_.get());
  SQFS_TRY(sqfs_meta_writer_flush(directory_meta_.get()), kWriting, file_.get());
  super_.directory_table_start = file_->size;
  SQFS_TRY(sqfs_meta_write_write_to_file(directory_meta_.get()), kWriting, file_.get());
  SQFS_TRY(sqfs_frag_table_write(fragments_.get(), &file_->base, &super_, compressor_.get()), kWriting,
           file_.get());
  SQFS_TRY(sqfs_dir_writer_write_export_table(directories_.get(), &file_->base, compressor_.get(),
                                              root.number, root.reference, &super_),
           kWriting, file_.get());
  SQFS_TRY(sqfs_id_table_write(ids_.get(), &file_->base, &super_, compressor_.get()), kWriting, file_.get());
  SQFS_TRY(sqfs_xattr_writer_flush(xattrs_.get(), &file_->base, &super_, compressor_.get()), kWriting,
           file_.get());
  super_.bytes_used = file_->size;
  SQFS_TRY(sqfs_super_write(&super_, &file_->base), kWriting, file_.get());
  // A loop device ends at a whole sector; the tail would be cut off.
  std::string padding((kPadding - file_->size % kPadding) % kPadding, '\0');
  SQFS_TRY(file_->base.write_at(&file_->base, file_->size, padding.data(), padding.size()), kWriting,
           file_.get());
  return file_->size;
}

}  // namespace slipway::squashfs
