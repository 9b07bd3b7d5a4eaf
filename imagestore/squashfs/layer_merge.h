// SPDX-License-Identifier: Apache-2.0
// An image is a stack of layers, each a tar in which ".wh.NAME" deletes and ".wh..wh..opq" empties what lies
// below. Unpacked on a disk they would be applied from the bottom up; here they come from the top down, so
// that of each file it is known at its first byte whether it will be seen, and each layer is read once.
//
// Nothing here reads or writes data: LayerMerge says which node an entry becomes, or that it is hidden. Names
// are resolved inside the tree in memory, so no link leads anywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result/result.h"
#include "imagestore/squashfs/tree.h"

namespace slipway::squashfs {

struct LayerEntry {
  std::string path;        // as in the tar
  std::uint32_t mode = 0;  // type and permissions
  std::uint32_t uid = 0, gid = 0, mtime = 0;
  std::uint32_t device = 0;  // kernel's 32-bit encoding
  std::string target;        // of a symlink
  std::string hard_link;     // not empty: a further name of that file
};

class LayerMerge {
 public:
  // Both borrowed. Times above `time_max` become it.
  LayerMerge(Node& root, Admission& admission, std::uint32_t time_max);
  ~LayerMerge();

  // The next layer below; the first call begins the top one. Returns its number: higher is further up.
  int BeginLayer();
  // The node whose data and attributes may follow now; null when the entry is hidden, is a whiteout, is a
  // further name of another file, or was left out by the policy. kInvalidArgument for names that lead out.
  Result<Node*> Add(const LayerEntry& entry);
  // Only where nothing of that name is; whiteouts do not matter. For what every container needs.
  Result<Node*> AddIfMissing(const LayerEntry& entry);
  bool Exists(std::string_view path) const;  // through no symlinks

  // After the last layer. A name of a file that a higher layer hides, or that a lower one holds, could not be
  // given its data when it came by: these are read again, layer by layer from the top.
  Result<> Settle();
  bool wants_more() const { return !wanted_.empty(); }
  // For an entry of layer `number` while it is read again: the node that wants its data, or null.
  Result<Node*> Again(int number, const LayerEntry& entry);
  // kInvalidArgument when a link leads to nothing after all. The tree is complete then; Sort and LinkUp
  // remain.
  Result<> Finish();

 private:
  struct Marks {                           // of a directory
    int opaque = -1;                       // the layer that emptied it
    std::map<std::string, int> whiteouts;  // name → the layer that deleted it
    std::string symlink;                   // a layer below has this symlink in its place
    LayerEntry symlink_entry;
  };
  struct Wanted {
    Node* node;
    int layer;
    std::string path;  // normal
  };
  struct ByName;  // hash and equality over (parent, name)
  struct Index;

  Node* Find(const Node& directory, std::string_view name) const;
  bool Hidden(const Node& directory, const std::string& name) const;
  Result<std::vector<std::string>> Components(std::string_view path) const;
  // Null: hidden. Makes directories that no entry has named yet.
  Result<Node*> Parent(const std::vector<std::string>& components);
  Result<Node*> Step(Node& directory, const std::string& name, unsigned& links_left);
  Result<> Want(Node& node, std::string path);
  Node* FollowForLink(const std::vector<std::string>& components, int layer) const;
  Result<Node*> Make(Node& parent, const std::string& name, const LayerEntry& entry);
  Result<Node*> Meet(Node& there, const LayerEntry& entry, bool& replace);
  void Describe(Node& node, const LayerEntry& entry) const;
  void ForgetWanted(const std::function<bool(Wanted&)>& done);
  Result<Node*> LinkTo(Node& parent, const std::string& name, const LayerEntry& entry);
  void Share(Node& node, Node& file);
  void Drop(Node& node);
  void MoveChildren(Node& from, Node& to);
  Node* Resolve(Node& from_directory, std::string_view target) const;
  void Sweep(Node& directory);

  Node& root_;
  Admission& admission_;
  std::uint32_t time_max_;
  int layer_ = 65536;
  std::uint64_t next_link_key_ = 1;
  std::map<const Node*, Marks> marks_;
  std::vector<Wanted> wanted_;
  std::unordered_set<const Node*> wanting_;  // their nodes
  std::unordered_set<std::string> wanted_paths_;
  std::vector<std::unique_ptr<Node>> swept_;  // the writer's threads may still hold on to them
  std::unique_ptr<Index> index_;
};

}  // namespace slipway::squashfs
