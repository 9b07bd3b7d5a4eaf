// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/layer_merge.h"

#include <algorithm>
#include <functional>

namespace slipway::squashfs {

namespace {
constexpr unsigned kLinksFollowed = 40;
constexpr std::size_t kWantedMax = 20'000;  // each is looked at again with each layer
constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kReserved = ".wh..wh.";

std::string Joined(const std::vector<std::string>& components) {
  std::string path;
  for (const std::string& one : components) path += Cat(path.empty() ? "" : "/", one);
  return path;
}
}  // namespace

struct LayerMerge::ByName {
  using is_transparent = void;
  struct Name {
    const Node* parent;
    std::string_view name;
  };
  static Name Of(const Node* node) { return {node->parent, node->name}; }
  static Name Of(const Name& name) { return name; }
  template <class T>
  std::size_t operator()(const T& value) const {
    Name name = Of(value);
    return std::hash<std::string_view>()(name.name) * 31 + std::hash<const void*>()(name.parent);
  }
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    Name left = Of(a), right = Of(b);
    return left.parent == right.parent && left.name == right.name;
  }
};
struct LayerMerge::Index {
  std::unordered_set<Node*, ByName, ByName> nodes;
};

LayerMerge::LayerMerge(Node& root, Admission& admission, std::uint32_t time_max)
    : root_(root), admission_(admission), time_max_(time_max), index_(std::make_unique<Index>()) {
  root_.mode = S_IFDIR | 0755;
  root_.mtime = time_max_;
  root_.implied = true;
  root_.layer = layer_;
}
LayerMerge::~LayerMerge() = default;

int LayerMerge::BeginLayer() { return --layer_; }

Node* LayerMerge::Find(const Node& directory, std::string_view name) const {
  auto found = index_->nodes.find(ByName::Name{&directory, name});
  return found == index_->nodes.end() ? nullptr : *found;
}

bool LayerMerge::Hidden(const Node& directory, const std::string& name) const {
  auto found = marks_.find(&directory);
  if (found == marks_.end()) return false;
  if (found->second.opaque > layer_) return true;
  auto whiteout = found->second.whiteouts.find(name);
  return whiteout != found->second.whiteouts.end() && whiteout->second > layer_;
}

Result<std::vector<std::string>> LayerMerge::Components(std::string_view path) const {
  std::vector<std::string> components;
  while (!path.empty()) {
    std::size_t slash = path.find('/');
    std::string_view one = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (one.empty() || one == ".") continue;
    if (one == "..") return Fail(Code::kInvalidArgument, "refused: a name in a layer leads up with \"..\"");
    if (one.size() > 255 || one.find('\0') != std::string_view::npos)
      return Fail(Code::kInvalidArgument, "refused: a name in a layer is too long or holds a NUL");
    components.emplace_back(one);
  }
  return components;
}

void LayerMerge::Describe(Node& node, const LayerEntry& entry) const {
  node.mode = entry.mode;
  node.uid = entry.uid;
  node.gid = entry.gid;
  node.mtime = std::min(entry.mtime, time_max_);
  node.device = S_ISCHR(entry.mode) || S_ISBLK(entry.mode) ? entry.device : 0;
  node.target = S_ISLNK(entry.mode) ? entry.target : std::string();
  node.implied = false;
}

// From the tree's end, its node goes when the tree is swept; its children cannot be found any more.
void LayerMerge::Drop(Node& node) {
  index_->nodes.erase(&node);
  node.gone = true;
}

Result<Node*> LayerMerge::Make(Node& parent, const std::string& name, const LayerEntry& entry) {
  Node& node = parent.Add(name);
  node.layer = layer_;
  Describe(node, entry);
  unsigned depth = 0;
  for (const Node* up = &node; up != nullptr; up = up->parent) ++depth;
  TRY(admission_.CountEntry(depth));
  if (!TRY(admission_.Admit(node))) {
    parent.children.pop_back();
    // It is left out, but what it replaces stays hidden.
    marks_[&parent].whiteouts.try_emplace(name, layer_);
    return nullptr;
  }
  index_->nodes.insert(&node);
  return &node;
}

Result<Node*> LayerMerge::Step(Node& directory, const std::string& name, unsigned& links_left) {
  if (Hidden(directory, name)) return nullptr;
  Node* there = Find(directory, name);
  if (there != nullptr && there->IsDirectory()) return there;
  if (there != nullptr && there->layer > layer_) return nullptr;
  if (there != nullptr && S_ISLNK(there->mode)) {
    if (links_left-- == 0)
      return Fail(Code::kInvalidArgument, "refused: symlinks of a layer lead in circles");
    if (Node* target = Resolve(directory, there->target)) return target;
  }
  if (there != nullptr) Drop(*there);
  Node* made = TRY(Make(directory, name, {.mode = S_IFDIR | 0755, .mtime = time_max_}));
  if (made != nullptr) made->implied = true;
  return made;
}

Result<Node*> LayerMerge::Parent(const std::vector<std::string>& components) {
  Node* directory = &root_;
  unsigned links_left = kLinksFollowed;
  for (std::size_t i = 0; i + 1 < components.size() && directory != nullptr; ++i)
    directory = TRY(Step(*directory, components[i], links_left));
  return directory;
}

// The directory that a symlink's target names; null when there is none (yet).
Node* LayerMerge::Resolve(Node& from_directory, std::string_view target) const {
  std::vector<std::string> todo;
  auto push = [&todo](std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
      std::size_t slash = path.find('/');
      if (slash != 0) parts.emplace_back(path.substr(0, slash));
      path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    todo.insert(todo.end(), parts.rbegin(), parts.rend());
  };
  Node* at = target.starts_with("/") ? &root_ : &from_directory;
  push(target);
  unsigned links_left = kLinksFollowed;
  while (!todo.empty()) {
    std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (at->parent != nullptr) at = at->parent;
      continue;
    }
    Node* next = Find(*at, name);
    if (next == nullptr || (!next->IsDirectory() && !S_ISLNK(next->mode))) return nullptr;
    if (next->IsDirectory()) {
      at = next;
      continue;
    }
    if (links_left-- == 0 || todo.size() > 4096) return nullptr;
    if (next->target.starts_with("/")) at = &root_;
    push(next->target);
  }
  return at;
}

// The entry and a node of that name. `replace`: the node goes, a new one is made.
Result<Node*> LayerMerge::Meet(Node& there, const LayerEntry& entry, bool& replace) {
  bool both_directories = there.IsDirectory() && S_ISDIR(entry.mode);
  if (both_directories) {
    if (there.layer > layer_ && !there.implied) return nullptr;
    Describe(there, entry);
    TRY(admission_.Admit(there));
    return &there;
  }
  if (there.layer == layer_) {
    replace = true;
    return nullptr;
  }
  // The layer above wrote below a directory that this one has as a symlink: Settle moves it there.
  if (there.implied && there.IsDirectory() && S_ISLNK(entry.mode) && !entry.target.empty()) {
    Marks& marks = marks_[&there];
    if (marks.symlink.empty()) {
      marks.symlink = entry.target;
      marks.symlink_entry = entry;
      marks.opaque = std::max(marks.opaque, layer_);
    }
  }
  return nullptr;
}

Result<Node*> LayerMerge::Add(const LayerEntry& entry) {
  std::vector<std::string> components = TRY(Components(entry.path));
  if (components.empty()) {
    bool mine = S_ISDIR(entry.mode) && root_.implied;
    if (mine) Describe(root_, entry);
    if (mine) TRY(admission_.Admit(root_));
    return mine ? &root_ : nullptr;
  }
  std::string& name = components.back();
  Node* parent = TRY(Parent(components));
  if (parent == nullptr) return nullptr;
  if (name == kOpaque) {
    marks_[parent].opaque = std::max(marks_[parent].opaque, layer_);
    return nullptr;
  }
  if (name.starts_with(kReserved)) return nullptr;
  if (name.starts_with(kWhiteout)) {
    marks_[parent].whiteouts.try_emplace(name.substr(kWhiteout.size()), layer_);
    return nullptr;
  }
  if (Hidden(*parent, name)) return nullptr;
  if (Node* there = Find(*parent, name)) {
    bool replace = false;
    Node* met = TRY(Meet(*there, entry, replace));
    if (!replace) return met;
    Drop(*there);
  }
  if (!entry.hard_link.empty()) return LinkTo(*parent, name, entry);
  return Make(*parent, name, entry);
}

Result<Node*> LayerMerge::AddIfMissing(const LayerEntry& entry) {
  std::vector<std::string> components = TRY(Components(entry.path));
  Node* directory = &root_;
  for (std::size_t i = 0; i < components.size(); ++i) {
    bool last = i + 1 == components.size();
    Node* there = Find(*directory, components[i]);
    if (there != nullptr && last) return nullptr;
    if (there != nullptr && S_ISLNK(there->mode)) there = Resolve(*directory, there->target);
    if (there != nullptr && !there->IsDirectory()) return nullptr;
    if (there == nullptr && Find(*directory, components[i]) != nullptr) return nullptr;
    if (there == nullptr) {
      LayerEntry made = last ? entry : LayerEntry{.mode = S_IFDIR | 0755, .mtime = time_max_};
      there = TRY(Make(*directory, components[i], made));
      if (there == nullptr || last) return there;
    }
    directory = there;
  }
  return nullptr;
}

bool LayerMerge::Exists(std::string_view path) const {
  auto components = Components(path);
  const Node* at = &root_;
  for (std::size_t i = 0; components && at != nullptr && i < components->size(); ++i)
    at = Find(*at, (*components)[i]);
  return components && at != nullptr;
}

// The file that a hard link names, when it is the one that the link's layer saw.
Node* LayerMerge::FollowForLink(const std::vector<std::string>& components, int layer) const {
  Node* at = &root_;
  for (std::size_t i = 0; i < components.size(); ++i) {
    Node* next = Find(*at, components[i]);
    if (next == nullptr) return nullptr;
    bool last = i + 1 == components.size();
    if (!last && S_ISLNK(next->mode)) next = Resolve(*at, next->target);
    if (next == nullptr || (!last && !next->IsDirectory())) return nullptr;
    at = next;
  }
  bool usable = at != &root_ && !at->IsDirectory() && at->layer <= layer;
  return usable ? at : nullptr;
}

void LayerMerge::Share(Node& node, Node& file) {
  if (file.link_key == 0) file.link_key = next_link_key_++;
  node.link_key = file.link_key;
  node.data_from = file.data_from != nullptr ? file.data_from : &file;
  node.mode = file.mode;
  node.uid = file.uid;
  node.gid = file.gid;
  node.mtime = file.mtime;
  node.device = file.device;
  node.target = file.target;
}

Result<> LayerMerge::Want(Node& node, std::string path) {
  if (wanted_.size() >= kWantedMax)
    return Fail(Code::kOutOfRange, "refused: more than ", kWantedMax, " hard links to files of other layers");
  wanting_.insert(&node);
  wanted_paths_.insert(path);
  wanted_.push_back({&node, layer_, std::move(path)});
  return {};
}

void LayerMerge::ForgetWanted(const std::function<bool(Wanted&)>& done) {
  std::erase_if(wanted_, [&](Wanted& one) {
    bool is_done = one.node->gone || done(one);
    if (is_done) wanting_.erase(one.node);
    return is_done;
  });
  wanted_paths_.clear();
  for (const Wanted& one : wanted_) wanted_paths_.insert(one.path);
}

Result<Node*> LayerMerge::LinkTo(Node& parent, const std::string& name, const LayerEntry& entry) {
  std::vector<std::string> target = TRY(Components(entry.hard_link));
  LayerEntry plain = entry;
  plain.mode = S_IFREG | (entry.mode & 0777);
  Node* node = TRY(Make(parent, name, plain));
  if (node == nullptr) return nullptr;
  Node* file = FollowForLink(target, layer_);
  bool has_data = file != nullptr && file != node && file->layer == layer_ && !wanting_.contains(file);
  if (has_data) {
    Share(*node, *file);
  } else {
    TRY(Want(*node, Joined(target)));
  }
  return nullptr;
}

// Children of a directory that a layer above made where a symlink to `to` belongs.
void LayerMerge::MoveChildren(Node& from, Node& to) {
  for (auto& child : from.children) {
    if (child->gone) continue;
    Node* there = Find(to, child->name);
    index_->nodes.erase(child.get());
    if (there != nullptr && there->IsDirectory() && child->IsDirectory()) {
      MoveChildren(*child, *there);
      child->gone = true;
      continue;
    }
    if (there != nullptr && there->layer > child->layer) {
      child->gone = true;
      continue;
    }
    if (there != nullptr) Drop(*there);
    child->parent = &to;
    index_->nodes.insert(child.get());
    to.children.push_back(std::move(child));
  }
  std::erase(from.children, nullptr);
}

Result<> LayerMerge::Settle() {
  std::vector<Node*> in_place_of_links;
  for (auto& [node, marks] : marks_) {
    if (!marks.symlink.empty() && !node->gone) in_place_of_links.push_back(const_cast<Node*>(node));
  }
  // By path, so that equal input gives equal bytes.
  std::sort(in_place_of_links.begin(), in_place_of_links.end(),
            [](const Node* a, const Node* b) { return a->Path() < b->Path(); });
  for (Node* directory : in_place_of_links) {
    const Marks& marks = marks_[directory];
    Node* target = directory->parent != nullptr ? Resolve(*directory->parent, marks.symlink) : nullptr;
    bool inside = false;
    for (const Node* up = target; up != nullptr; up = up->parent) inside |= up == directory;
    if (target == nullptr || inside) continue;
    Node& parent = *directory->parent;
    std::string name = directory->name;
    MoveChildren(*directory, *target);
    Drop(*directory);
    TRY(Make(parent, name, marks.symlink_entry));
  }
  for (std::size_t before = wanted_.size() + 1; wanted_.size() < before;) {
    before = wanted_.size();
    ForgetWanted([this](Wanted& one) {
      auto components = Components(one.path);
      Node* file = components ? FollowForLink(*components, one.layer) : nullptr;
      if (file == nullptr || wanting_.contains(file)) return false;
      Share(*one.node, *file);
      return true;
    });
  }
  return {};
}

Result<Node*> LayerMerge::Again(int number, const LayerEntry& entry) {
  std::string path = Joined(TRY(Components(entry.path)));
  if (!wanted_paths_.contains(path)) return nullptr;
  if (S_ISDIR(entry.mode))
    return Fail(Code::kInvalidArgument, "a hard link in a layer leads to the directory ", path);
  std::string leads_to;
  if (!entry.hard_link.empty()) leads_to = Joined(TRY(Components(entry.hard_link)));
  Node* first = nullptr;
  ForgetWanted([&](Wanted& one) {
    if (one.layer < number || one.path != path) return false;
    if (!leads_to.empty()) {  // a name of a name: that one is looked for from now on
      one.path = leads_to;
      one.layer = number;
      return false;
    }
    if (first != nullptr) {
      Share(*one.node, *first);
    } else {
      first = one.node;
      Describe(*first, entry);
    }
    return true;
  });
  if (first != nullptr) TRY(admission_.Admit(*first));
  return first;
}

void LayerMerge::Sweep(Node& directory) {
  for (auto& child : directory.children) {
    if (child->gone) swept_.push_back(std::move(child));
  }
  std::erase(directory.children, nullptr);
  for (auto& child : directory.children) {
    if (child->IsDirectory()) Sweep(*child);
  }
}

Result<> LayerMerge::Finish() {
  if (!wanted_.empty())
    return Fail(Code::kInvalidArgument, "a hard link in a layer, ", wanted_[0].node->Path(), ", leads to ",
                wanted_[0].path, ", which is in none");
  Sweep(root_);
  return {};
}

}  // namespace slipway::squashfs
