// SPDX-License-Identifier: Apache-2.0
// A squashfs that somebody else wrote, opened through libsquashfs. Everything in it may be a lie: sizes,
// references, names, loops. What libsquashfs does not check is checked here before it is used.
#pragma once

#include <sqfs/data_reader.h>
#include <sqfs/dir.h>
#include <sqfs/dir_reader.h>
#include <sqfs/id_table.h>
#include <sqfs/super.h>
#include <sqfs/xattr.h>
#include <sqfs/xattr_reader.h>

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "imagestore/squashfs/fd_file.h"
#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/tree.h"

namespace slipway::squashfs {

class Source {
 public:
  static Result<std::unique_ptr<Source>> Open(const Window& window);

  const sqfs_super_t& super() const { return super_; }
  sqfs_dir_reader_t* directories() { return directories_.get(); }

  // The whole tree without data; nodes hold their inodes in `source`. Sorted and linked up.
  Result<> ReadTree(Node& root, Admission& admission);
  Result<std::vector<Xattr>> ReadXattrs(const Node& node, Admission& admission);
  // A regular file's bytes, piece by piece.
  Result<> ReadData(const sqfs_inode_generic_t& inode, std::uint64_t bytes_max, const std::string& path,
                    const std::function<Result<>(std::span<const char>)>& sink);
  // The nodes of regular files in the order in which their data lies, so that no fragment block is unpacked
  // twice.
  static std::vector<Node*> FilesInDataOrder(Node& root);
  static std::uint64_t FileSize(const sqfs_inode_generic_t& inode);

 private:
  Source() = default;
  Result<> Describe(Node& node);
  Result<> ReadDirectory(Node& directory, Admission& admission, unsigned depth);

  std::unique_ptr<FdFile> file_;
  sqfs_super_t super_{};
  std::vector<char> buffer_;
  std::set<std::uint32_t> seen_directories_;
  Object<sqfs_compressor_t> compressor_;
  Object<sqfs_id_table_t> ids_;
  Object<sqfs_data_reader_t> data_;
  Object<sqfs_xattr_reader_t> xattrs_;  // null: none in the image
  Object<sqfs_dir_reader_t> directories_;
};

}  // namespace slipway::squashfs
