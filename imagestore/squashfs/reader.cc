// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/reader.h"

#include <algorithm>
#include <deque>

#include "imagestore/squashfs/source.h"

namespace slipway::squashfs {

namespace {
constexpr int kLinksMax = 40;

std::deque<std::string> Components(const std::string& path) {
  std::deque<std::string> parts;
  for (std::size_t begin = 0; begin < path.size();) {
    std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string path;
  for (const std::string& part : parts) path += path.empty() ? part : "/" + part;
  return path;
}

Kind KindOf(std::uint32_t mode) {
  if (S_ISREG(mode)) return Kind::kFile;
  if (S_ISDIR(mode)) return Kind::kDirectory;
  if (S_ISLNK(mode)) return Kind::kSymlink;
  if (S_ISCHR(mode) || S_ISBLK(mode)) return Kind::kDevice;
  return Kind::kOther;
}

Result<> Visited(const Node& directory, const std::string& path, const Reader::Visit& visit) {
  for (const auto& child : directory.children) {
    std::string below = path.empty() ? child->name : Cat(path, "/", child->name);
    TRY(visit(below, KindOf(child->mode)));
    if (child->IsDirectory()) TRY(Visited(*child, below, visit));
  }
  return {};
}
}  // namespace

struct Reader::State {
  std::unique_ptr<Source> source;
  SuperBlock super;

  Result<Freed<sqfs_inode_generic_t>> InodeOf(const std::string& path) {
    sqfs_inode_generic_t* inode = nullptr;
    SQFS_TRY(sqfs_dir_reader_find_by_path(source->directories(), nullptr, path.c_str(), &inode), "/" + path,
             nullptr);
    return Freed<sqfs_inode_generic_t>(inode);
  }

  static Result<std::string> TargetOf(const sqfs_inode_generic_t& inode, const std::string& path) {
    std::uint32_t size = inode.data.slink.target_size;
    if (size > 4095)
      return Fail(Code::kInvalidArgument, "/", path, ": the link's target has ", size, " bytes");
    return std::string(reinterpret_cast<const char*>(inode.extra), size);
  }

  // Walks as the kernel would with this image as root.
  Result<Freed<sqfs_inode_generic_t>> Resolve(const std::string& path, bool follow_last) {
    std::vector<std::string> done;
    std::deque<std::string> left = Components(path);
    Freed<sqfs_inode_generic_t> inode = TRY(InodeOf(""));
    for (int links = 0; !left.empty();) {
      std::string part = std::move(left.front());
      left.pop_front();
      if (part == ".") continue;
      if (part == "..") {
        if (!done.empty()) done.pop_back();
        inode = TRY(InodeOf(Joined(done)));
        continue;
      }
      done.push_back(part);
      inode = TRY(InodeOf(Joined(done)));
      if (!S_ISLNK(inode->base.mode) || (left.empty() && !follow_last)) continue;
      if (++links > kLinksMax)
        return Fail(Code::kInvalidArgument, path, ": too many levels of symbolic links");
      std::string target = TRY(TargetOf(*inode, Joined(done)));
      done.pop_back();
      if (target.starts_with('/')) done.clear();
      std::deque<std::string> more = Components(target);
      left.insert(left.begin(), more.begin(), more.end());
      inode = TRY(InodeOf(Joined(done)));
    }
    return inode;
  }
};

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::Open(const Window& window) {
  auto state = std::make_unique<State>();
  state->source = TRY(Source::Open(window));
  const sqfs_super_t& super = state->source->super();
  const char* name = sqfs_compressor_name_from_id(static_cast<SQFS_COMPRESSOR>(super.compression_id));
  state->super = {name != nullptr ? name : "unknown", super.bytes_used, super.block_size, super.inode_count,
                  super.modification_time};
  return Reader(std::move(state));
}

const SuperBlock& Reader::super() const { return state_->super; }

Result<Stat> Reader::Find(const std::string& path, bool follow_last) const {
  Freed<sqfs_inode_generic_t> inode = TRY(state_->Resolve(path, follow_last));
  Stat stat;
  stat.kind = KindOf(inode->base.mode);
  stat.mode = inode->base.mode & 07777U;
  if (stat.kind == Kind::kFile) stat.size = Source::FileSize(*inode);
  if (stat.kind == Kind::kSymlink) stat.target = TRY(State::TargetOf(*inode, path));
  return stat;
}

Result<std::string> Reader::ReadHead(const std::string& path, std::size_t bytes_max) const {
  Freed<sqfs_inode_generic_t> inode = TRY(state_->Resolve(path, true));
  if (!S_ISREG(inode->base.mode)) return Fail(Code::kInvalidArgument, path, ": not a regular file");
  std::string bytes;
  TRY(state_->source->ReadData(*inode, bytes_max, path, [&bytes](std::span<const char> piece) -> Result<> {
    bytes.append(piece.data(), piece.size());
    return {};
  }));
  return bytes;
}

Result<std::string> Reader::ReadFile(const std::string& path, std::size_t bytes_max) const {
  Stat stat = TRY(Find(path));
  if (stat.size > bytes_max) {
    return Fail(Code::kOutOfRange, path, " in the image has ", stat.size, " bytes; at most ", bytes_max,
                " are read");
  }
  return ReadHead(path, bytes_max);
}

Result<std::vector<std::string>> Reader::List(const std::string& path, std::size_t entries_max) const {
  Freed<sqfs_inode_generic_t> inode = TRY(state_->Resolve(path, true));
  sqfs_dir_reader_t* directories = state_->source->directories();
  SQFS_TRY(sqfs_dir_reader_open_dir(directories, inode.get(), 0), path, nullptr);
  std::vector<std::string> names;
  for (;;) {
    sqfs_dir_entry_t* raw = nullptr;
    int code = sqfs_dir_reader_read(directories, &raw);
    if (code > 0) return names;
    SQFS_TRY(code, path, nullptr);
    Freed<sqfs_dir_entry_t> entry(raw);
    if (names.size() >= entries_max)
      return Fail(Code::kOutOfRange, path, " has more than ", entries_max, " entries");
    names.emplace_back(reinterpret_cast<const char*>(entry->name), entry->size + std::size_t{1});
  }
}

Result<> Reader::Walk(const Limits& limits, const Visit& visit) const {
  Policy as_it_is{
      .devices = Treatment::kKeep, .set_id = Treatment::kKeep, .file_capabilities = Treatment::kKeep};
  Admission admission(as_it_is, limits);
  Node root;
  TRY(state_->source->ReadTree(root, admission));
  return Visited(root, "", visit);
}

}  // namespace slipway::squashfs
