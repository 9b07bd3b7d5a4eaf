// SPDX-License-Identifier: Apache-2.0
// The order of a squashfs: data of all files, then inodes, directories and tables. ImageWriter takes the data
// file by file, compresses it on several threads, and then writes the rest from the tree.
#pragma once

#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/dir_writer.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/meta_writer.h>
#include <sqfs/super.h>
#include <sqfs/xattr_writer.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "imagestore/squashfs/fd_file.h"
#include "imagestore/squashfs/tree.h"

namespace slipway::squashfs {

struct Xattr {
  std::string key, value;
};

class ImageWriter {
 public:
  ~ImageWriter();
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;

  // `time`: of the file system itself, seconds since 1970.
  static Result<std::unique_ptr<ImageWriter>> Create(int out_fd, const PackOptions& options,
                                                     std::uint32_t time);

  // One file at a time. The node must outlive the writer.
  Result<> BeginFile(Node& file);
  Result<> Append(const void* bytes, std::size_t size);
  Result<> EndFile();
  Result<> SetXattrs(Node& node, const std::vector<Xattr>& xattrs);

  // `root` is sorted and complete. Returns the file system's size, padded to 4096.
  Result<std::uint64_t> Finish(Node& root);

 private:
  ImageWriter() = default;
  Result<> Number(Node& directory);
  Result<> Serialize(Node& directory);
  Result<> MakeInode(Node& node);
  Result<> MakeDirectoryInode(Node& node);
  Result<> WriteInode(Node& node);
  Result<> WriteTables();

  std::unique_ptr<FdFile> file_;
  sqfs_super_t super_{};
  std::uint32_t next_number_ = 1;
  // Destroyed from the bottom up: the processor's threads use what is above it.
  Object<sqfs_compressor_t> compressor_, uncompressor_;
  Object<sqfs_id_table_t> ids_;
  Object<sqfs_frag_table_t> fragments_;
  Object<sqfs_xattr_writer_t> xattrs_;
  Object<sqfs_block_writer_t> blocks_;
  Object<sqfs_meta_writer_t> inode_meta_, directory_meta_;
  Object<sqfs_dir_writer_t> directories_;
  Object<sqfs_block_processor_t> processor_;
};

}  // namespace slipway::squashfs
