// SPDX-License-Identifier: Apache-2.0
// A root file system is tens of thousands of small files, and opening and reading them takes as long as
// feeding the compressing threads does. TreeReader does it in a thread of its own and hands over what it
// found in batches, in the order in which the data is written.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "imagestore/squashfs/ahead.h"
#include "imagestore/squashfs/image_writer.h"
#include "imagestore/squashfs/tree.h"
#include "imagestore/squashfs/tree_walk.h"

namespace slipway::squashfs {

// What reading a tree asks of the kernel, with the system calls' own answers; tests give others.
class TreeCalls {
 public:
  virtual ~TreeCalls() = default;
  virtual Result<UniqueFd> OpenAt(int dir_fd, const std::string& name, int flags);
  virtual int Stat(int fd, struct stat& info);
  virtual ssize_t ListXattr(int fd, char* names, std::size_t size);
  virtual ssize_t GetXattr(int fd, const char* name, char* value, std::size_t size);
  virtual ssize_t Read(int fd, char* to, std::size_t size);
};

class TreeReader {
 public:
  struct Piece {
    Node* node;                 // a directory, or a file that carries data
    bool begins = false;        // the first piece of a file
    bool ends = false;          // the last one
    std::size_t size = 0;       // bytes of the file in this batch, behind those of the pieces before
    std::vector<Xattr> xattrs;  // of a directory, or of a file with its first piece
    std::uint64_t entries = 0;  // of the tree that are done when this piece is
  };
  struct Batch {
    std::vector<char> bytes;
    std::size_t used = 0;
    std::vector<Piece> pieces;
  };

  // Reads the tree of the directory `top_fd` behind `walk`; all are borrowed until the reader is gone.
  // Meanwhile `admission` and what the walk hands over are the reader's alone; of the nodes it looks at
  // names and kinds and sets the links, as LinkUp would. The walk's error is the reader's, in its place.
  static Result<std::unique_ptr<TreeReader>> Start(TreeCalls& calls, int top_fd, TreeWalk& walk,
                                                   Admission& admission);
  // Valid until the next call; null at the end. Errors name the file.
  Result<Batch*> Take() { return ahead_->Take(); }

 private:
  using Reading = Ahead<Batch>;
  TreeReader(TreeCalls& calls, TreeWalk& walk, Admission& admission)
      : calls_(calls), walk_(walk), admission_(admission) {}
  Result<> Give();
  Result<> Run(int top_fd);
  Result<> ReadSubdirectory(int dir_fd, Node& directory);
  Result<> ReadDirectory(int dir_fd, Node& directory);
  Result<> ReadFile(int dir_fd, Node& node);
  Result<> ReadBytes(int fd, Node& node, std::uint64_t left);
  Result<Piece*> NewPiece(Node& node);
  Result<std::vector<Xattr>> ReadXattrs(int fd, const Node& node);

  TreeCalls& calls_;
  TreeWalk& walk_;
  Admission& admission_;
  HardLinks links_;
  Reading::Giver* giver_ = nullptr;
  std::uint64_t entries_ = 0;
  std::unique_ptr<Reading> ahead_;  // last: its thread uses the rest
};

// PackDirectory of pack.h with these calls where the files are read.
Result<PackSummary> PackDirectory(int dir_fd, int out_fd, const PackOptions& options, TreeCalls& calls);

}  // namespace slipway::squashfs
