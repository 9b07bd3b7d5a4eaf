// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/source.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace slipway::squashfs {

namespace {

constexpr char kReading[] = "reading the squashfs";
constexpr std::size_t kTargetMax = 4095;
constexpr std::uint32_t kXattrsMax = 1024;  // of one file

bool HasXattrs(const sqfs_super_t& super) {
  return (super.flags & SQFS_FLAG_NO_XATTRS) == 0 && super.xattr_id_table_start != ~std::uint64_t{0};
}

}  // namespace

Result<std::unique_ptr<Source>> Source::Open(const Window& window) {
  std::unique_ptr<Source> source(new Source);
  Source& s = *source;
  s.file_ = MakeFdFile(window.fd, window.offset, window.size);
  if (window.size < sizeof(sqfs_super_t)) {
    return Fail(Code::kInvalidArgument, "not a squashfs: ", window.size, " bytes are too few");
  }
  SQFS_TRY(sqfs_super_read(&s.super_, &s.file_->base), "not a usable squashfs", s.file_.get());
  if (s.super_.bytes_used > window.size) {
    return Fail(Code::kInvalidArgument, "the squashfs is cut short: it has ", window.size, " bytes of the ",
                s.super_.bytes_used, " it states");
  }
  sqfs_compressor_config_t config;
  SQFS_TRY(sqfs_compressor_config_init(&config, static_cast<SQFS_COMPRESSOR>(s.super_.compression_id),
                                       s.super_.block_size, SQFS_COMP_FLAG_UNCOMPRESS),
           "the squashfs' compressor", nullptr);
  sqfs_compressor_t* compressor = nullptr;
  SQFS_TRY(sqfs_compressor_create(&config, &compressor), "the squashfs' compressor", nullptr);
  s.compressor_.reset(compressor);
  if ((s.super_.flags & SQFS_FLAG_COMPRESSOR_OPTIONS) != 0) {
    SQFS_TRY(compressor->read_options(compressor, &s.file_->base), "the squashfs' compressor options",
             s.file_.get());
  }
  s.ids_.reset(sqfs_id_table_create(0));
  s.data_.reset(sqfs_data_reader_create(&s.file_->base, s.super_.block_size, compressor, 0));
  s.directories_.reset(sqfs_dir_reader_create(&s.super_, compressor, &s.file_->base, 0));
  if (!s.ids_ || !s.data_ || !s.directories_) return SquashfsFail(SQFS_ERROR_ALLOC, kReading);
  SQFS_TRY(sqfs_id_table_read(s.ids_.get(), &s.file_->base, &s.super_, compressor),
           "the squashfs' table of owners", s.file_.get());
  SQFS_TRY(sqfs_data_reader_load_fragment_table(s.data_.get(), &s.super_), "the squashfs' fragment table",
           s.file_.get());
  if (HasXattrs(s.super_)) {
    s.xattrs_.reset(sqfs_xattr_reader_create(0));
    if (!s.xattrs_) return SquashfsFail(SQFS_ERROR_ALLOC, kReading);
    SQFS_TRY(sqfs_xattr_reader_load(s.xattrs_.get(), &s.super_, &s.file_->base, compressor),
             "the squashfs' attributes", s.file_.get());
  }
  s.buffer_.resize(std::max<std::size_t>(s.super_.block_size, 1 << 18));
  return source;
}

std::uint64_t Source::FileSize(const sqfs_inode_generic_t& inode) {
  sqfs_u64 size = 0;
  return sqfs_inode_get_file_size(&inode, &size) == 0 ? size : 0;
}

Result<> Source::Describe(Node& node) {
  const sqfs_inode_generic_t& inode = *node.source;
  node.mode = inode.base.mode;
  node.mtime = inode.base.mod_time;
  SQFS_TRY(sqfs_id_table_index_to_id(ids_.get(), inode.base.uid_idx, &node.uid), "an owner", nullptr);
  SQFS_TRY(sqfs_id_table_index_to_id(ids_.get(), inode.base.gid_idx, &node.gid), "a group", nullptr);
  std::uint32_t links = 1;
  switch (inode.base.type) {
    case SQFS_INODE_EXT_FILE:
      links = inode.data.file_ext.nlink;
      break;
    case SQFS_INODE_SLINK:
    case SQFS_INODE_EXT_SLINK: {
      std::uint32_t size = inode.data.slink.target_size;  // the extended form begins alike
      if (size > kTargetMax)
        return Fail(Code::kInvalidArgument, node.Path(), ": the link's target has ", size, " bytes");
      node.target.assign(reinterpret_cast<const char*>(inode.extra), size);
      break;
    }
    case SQFS_INODE_BDEV:
    case SQFS_INODE_CDEV:
    case SQFS_INODE_EXT_BDEV:
    case SQFS_INODE_EXT_CDEV:
      node.device = inode.data.dev.devno;
      break;
    default:
      break;
  }
  if (links > 1) node.link_key = std::uint64_t{inode.base.inode_number} + 1;
  return {};
}

Result<> Source::ReadDirectory(Node& directory, Admission& admission, unsigned depth) {
  // A directory that holds itself would never end; one held twice could double at each level.
  if (!seen_directories_.insert(directory.source->base.inode_number).second) {
    return Fail(Code::kInvalidArgument, "the squashfs is damaged: the directory ", directory.Path(),
                " occurs twice");
  }
  SQFS_TRY(sqfs_dir_reader_open_dir(directories_.get(), directory.source.get(), 0), directory.Path(),
           file_.get());
  for (;;) {
    sqfs_dir_entry_t* raw = nullptr;
    int code = sqfs_dir_reader_read(directories_.get(), &raw);
    if (code > 0) break;
    SQFS_TRY(code, directory.Path(), file_.get());
    Freed<sqfs_dir_entry_t> entry(raw);
    TRY(admission.CountEntry(depth));
    Node& node =
        directory.Add(std::string(reinterpret_cast<const char*>(entry->name), entry->size + std::size_t{1}));
    sqfs_inode_generic_t* inode = nullptr;
    SQFS_TRY(sqfs_dir_reader_get_inode(directories_.get(), &inode), node.Path(), file_.get());
    node.source.reset(inode);
    TRY(Describe(node));
    if (!TRY(admission.Admit(node))) directory.children.pop_back();
  }
  for (auto& child : directory.children) {
    if (child->IsDirectory()) TRY(ReadDirectory(*child, admission, depth + 1));
  }
  return {};
}

Result<> Source::ReadTree(Node& root, Admission& admission) {
  sqfs_inode_generic_t* inode = nullptr;
  SQFS_TRY(sqfs_dir_reader_get_root_inode(directories_.get(), &inode), "the root directory", file_.get());
  root.source.reset(inode);
  TRY(admission.CountEntry(0));
  TRY(Describe(root));
  if (!root.IsDirectory())
    return Fail(Code::kInvalidArgument, "the squashfs is damaged: its root is not a directory");
  TRY(admission.Admit(root));
  seen_directories_.clear();
  TRY(ReadDirectory(root, admission, 1));
  TRY(root.Sort());
  LinkUp(root);
  return {};
}

Result<std::vector<Xattr>> Source::ReadXattrs(const Node& node, Admission& admission) {
  std::vector<Xattr> kept;
  sqfs_u32 index = kNoXattr;
  if (!xattrs_ || sqfs_inode_get_xattr_index(node.source.get(), &index) != 0 || index == kNoXattr)
    return kept;
  sqfs_xattr_id_t description;
  SQFS_TRY(sqfs_xattr_reader_get_desc(xattrs_.get(), index, &description), node.Path(), file_.get());
  if (description.count > kXattrsMax)
    return Fail(Code::kOutOfRange, node.Path(), " has more than ", kXattrsMax, " attributes");
  SQFS_TRY(sqfs_xattr_reader_seek_kv(xattrs_.get(), &description), node.Path(), file_.get());
  for (std::uint32_t i = 0; i < description.count; ++i) {
    sqfs_xattr_entry_t* raw_key = nullptr;
    SQFS_TRY(sqfs_xattr_reader_read_key(xattrs_.get(), &raw_key), node.Path(), file_.get());
    Freed<sqfs_xattr_entry_t> key(raw_key);
    sqfs_xattr_value_t* raw_value = nullptr;
    SQFS_TRY(sqfs_xattr_reader_read_value(xattrs_.get(), raw_key, &raw_value), node.Path(), file_.get());
    Freed<sqfs_xattr_value_t> value(raw_value);
    std::string name(reinterpret_cast<const char*>(key->key));
    if (!TRY(admission.AdmitXattr(node, name))) continue;
    kept.push_back({std::move(name), std::string(reinterpret_cast<const char*>(value->value), value->size)});
  }
  std::sort(kept.begin(), kept.end(), [](const Xattr& a, const Xattr& b) { return a.key < b.key; });
  return kept;
}

Result<> Source::ReadData(const sqfs_inode_generic_t& inode, std::uint64_t bytes_max, const std::string& path,
                          const std::function<Result<>(std::span<const char>)>& sink) {
  std::uint64_t size = std::min(FileSize(inode), bytes_max);
  for (std::uint64_t offset = 0; offset < size;) {
    auto wanted = static_cast<sqfs_u32>(std::min<std::uint64_t>(buffer_.size(), size - offset));
    sqfs_s32 n = sqfs_data_reader_read(data_.get(), &inode, offset, buffer_.data(), wanted);
    SQFS_TRY(n, path, file_.get());
    if (n == 0)
      return Fail(Code::kInvalidArgument, path, ": the squashfs is damaged: data ends before the file does");
    TRY(sink(std::span<const char>(buffer_.data(), static_cast<std::size_t>(n))));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

namespace {

void CollectFiles(Node& directory, std::vector<Node*>& files) {
  for (auto& child : directory.children) {
    if (child->IsDirectory()) CollectFiles(*child, files);
  }
  for (auto& child : directory.children) {
    if (child->IsFile() && child->same_as == nullptr) files.push_back(child.get());
  }
}

}  // namespace

std::vector<Node*> Source::FilesInDataOrder(Node& root) {
  std::vector<Node*> files;
  CollectFiles(root, files);
  struct Placed {
    std::tuple<std::uint32_t, std::uint32_t, std::uint64_t> place;
    Node* node;
  };
  std::vector<Placed> placed;
  placed.reserve(files.size());
  for (Node* node : files) {
    sqfs_u32 index = 0, offset = 0;
    sqfs_u64 start = 0;
    sqfs_inode_get_frag_location(node->source.get(), &index, &offset);
    sqfs_inode_get_file_block_start(node->source.get(), &start);
    placed.push_back({{index, offset, start}, node});
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.place < b.place; });
  std::transform(placed.begin(), placed.end(), files.begin(), [](const Placed& p) { return p.node; });
  return files;
}

}  // namespace slipway::squashfs
