// SPDX-License-Identifier: Apache-2.0
// A squashfs' directories can be written only when all data has been, so the whole tree is held in memory
// without the data. Packing, re-packing and unpacking share this one form of it.
#pragma once

#include <sqfs/inode.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "imagestore/squashfs/fd_file.h"
#include "imagestore/squashfs/pack.h"

namespace slipway::squashfs {

inline constexpr std::uint32_t kNoXattr = 0xFFFFFFFF;

struct Node {
  std::string name;  // empty: the root
  Node* parent = nullptr;
  std::uint32_t mode = 0;  // type and permissions, as in struct stat
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t mtime = 0;
  std::uint32_t device = 0;  // of device nodes, in the kernel's 32-bit encoding
  std::string target;        // of symlinks
  std::vector<std::unique_ptr<Node>> children;
  std::uint64_t link_key = 0;  // names with the same key, not 0, are one file
  Node* same_as = nullptr;     // a further hard link to that file (set by LinkUp)
  std::uint32_t links = 1;     // names of this file within the tree
  int layer = 0;               // of a stack of layers: higher is further up (LayerMerge)
  Node* data_from = nullptr;   // a name of the same file, perhaps gone, that its data was written for
  bool implied = false;        // a directory that was made for what is in it; no entry has described it yet
  bool gone = false;           // replaced within its own layer; swept out before the tree is written

  Freed<sqfs_inode_generic_t> source;  // where its data is in the image that is being read
  sqfs_inode_generic_t* made =
      nullptr;                     // in the image that is being written; the block processor may move it
  std::uint32_t xattr = kNoXattr;  // index in the image that is being written
  std::uint32_t number = 0;
  std::uint64_t reference = 0;

  Node() = default;
  Node(const Node&) = delete;
  ~Node() { sqfs_free(made); }

  bool IsDirectory() const { return S_ISDIR(mode); }
  bool IsFile() const { return S_ISREG(mode); }
  std::string Path() const;  // "usr/bin/su", "/" for the root
  // Appends a child in any order; Sort() puts them right.
  Node& Add(std::string child_name);
  // Children by name, as the kernel's lookup wants them. kInvalidArgument for a name that occurs twice, is
  // empty, is too long or is no name.
  Result<> SortChildren();
  Result<> Sort();  // through the whole tree
};

// Finds the hard links of a sorted tree. The first name in the order in which ImageWriter writes inodes
// carries the file; the others refer to it.
class HardLinks {
 public:
  // Each name that is no directory, in that order: what is in a directory's directories comes before what it
  // holds itself. Sets `same_as` and `links`.
  void Meet(Node& node);

 private:
  std::unordered_map<std::uint64_t, Node*> first_;
};
void LinkUp(Node& root);

// " (--max-bytes)"; nothing for none.
std::string SetBy(const std::string& setting);

// Applies policy and limits while a tree is read, and keeps the summary.
class Admission {
 public:
  Admission(const Policy& policy, const Limits& limits) : policy_(policy), limits_(limits) {}

  // False: leave the node out. May clear bits of its mode.
  Result<bool> Admit(Node& node);
  // False: leave the attribute out.
  Result<bool> AdmitXattr(const Node& node, const std::string& key);
  Result<> CountEntry(unsigned depth);
  Result<> CountBytes(std::uint64_t bytes);
  // What another one counted and listed of the same tree, behind what this one did.
  void Include(const PackSummary& other);
  PackSummary& summary() { return summary_; }
  const Policy& policy() const { return policy_; }

 private:
  Result<bool> Judge(Treatment treatment, const char* what, const Node& node);
  Policy policy_;
  Limits limits_;
  PackSummary summary_;
};

}  // namespace slipway::squashfs
