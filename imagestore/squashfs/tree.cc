// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/tree.h"

#include <algorithm>

namespace slipway::squashfs {

namespace {
constexpr std::size_t kDroppedListed = 100;

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}
}  // namespace

Policy ImportPolicy() {
  Policy policy;
  policy.devices = Treatment::kRefuse;
  return policy;
}

std::string Node::Path() const {
  if (parent == nullptr) return "/";
  if (parent->parent == nullptr) return name;
  return parent->Path() + "/" + name;
}

Node& Node::Add(std::string child_name) {
  auto child = std::make_unique<Node>();
  child->name = std::move(child_name);
  child->parent = this;
  children.push_back(std::move(child));
  return *children.back();
}

Result<> Node::SortChildren() {
  std::sort(children.begin(), children.end(), [](auto& a, auto& b) { return a->name < b->name; });
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (!IsName(children[i]->name))
      return Fail(Code::kInvalidArgument, Path(), " holds an entry without a usable name");
    if (i > 0 && children[i]->name == children[i - 1]->name) {
      return Fail(Code::kInvalidArgument, children[i]->Path(), " occurs twice");
    }
  }
  return {};
}

Result<> Node::Sort() {
  TRY(SortChildren());
  for (auto& child : children) TRY(child->Sort());
  return {};
}

void HardLinks::Meet(Node& node) {
  if (node.link_key == 0) return;
  auto [found, is_new] = first_.try_emplace(node.link_key, &node);
  if (is_new) return;
  node.same_as = found->second;
  ++found->second->links;
}

namespace {
void LinkUpBelow(Node& directory, HardLinks& links) {
  for (auto& child : directory.children) {
    if (child->IsDirectory()) LinkUpBelow(*child, links);
  }
  for (auto& child : directory.children) {
    if (!child->IsDirectory()) links.Meet(*child);
  }
}
}  // namespace

void LinkUp(Node& root) {
  HardLinks links;
  LinkUpBelow(root, links);
}

Result<bool> Admission::Judge(Treatment treatment, const char* what, const Node& node) {
  if (treatment == Treatment::kKeep) return true;
  if (treatment == Treatment::kRefuse) {
    return Fail(Code::kPermissionDenied, "refused: ", node.Path(), " is or has a ", what);
  }
  ++summary_.dropped_count;
  if (summary_.dropped.size() < kDroppedListed) summary_.dropped.push_back(Cat(what, ": ", node.Path()));
  return false;
}

Result<bool> Admission::Admit(Node& node) {
  if (S_ISCHR(node.mode) || S_ISBLK(node.mode)) {
    if (!TRY(Judge(policy_.devices, "device node", node))) return false;
  }
  // On a directory set-gid means that new files inherit its group; it gives nobody anything.
  if (node.IsFile() && (node.mode & (S_ISUID | S_ISGID)) != 0) {
    bool keep = TRY(Judge(policy_.set_id, "set-id bit", node));
    if (!keep) node.mode &= ~static_cast<std::uint32_t>(S_ISUID | S_ISGID);
  }
  if (policy_.ids_to_root) node.uid = node.gid = 0;
  return true;
}

Result<bool> Admission::AdmitXattr(const Node& node, const std::string& key) {
  if (key.starts_with("user.")) return true;
  if (key == "security.capability") return Judge(policy_.file_capabilities, "file capability", node);
  return false;
}

void Admission::Include(const PackSummary& other) {
  summary_.entries += other.entries;
  summary_.bytes_in += other.bytes_in;
  summary_.dropped_count += other.dropped_count;
  for (const std::string& line : other.dropped) {
    if (summary_.dropped.size() < kDroppedListed) summary_.dropped.push_back(line);
  }
}

std::string SetBy(const std::string& setting) { return setting.empty() ? "" : Cat(" (", setting, ")"); }

Result<> Admission::CountEntry(unsigned depth) {
  if (depth > limits_.depth_max)
    return Fail(Code::kOutOfRange, "directories nested deeper than ", limits_.depth_max,
                SetBy(limits_.depth_setting));
  if (++summary_.entries > limits_.entries_max)
    return Fail(Code::kOutOfRange, "more than ", limits_.entries_max, " files and directories",
                SetBy(limits_.entries_setting));
  return {};
}

Result<> Admission::CountBytes(std::uint64_t bytes) {
  if (bytes > limits_.bytes_max - summary_.bytes_in) {
    return Fail(Code::kOutOfRange, "more than ", limits_.bytes_max, " bytes of file data",
                SetBy(limits_.bytes_setting));
  }
  summary_.bytes_in += bytes;
  return {};
}

}  // namespace slipway::squashfs
