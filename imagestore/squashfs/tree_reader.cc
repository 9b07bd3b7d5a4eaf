// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/tree_reader.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace slipway::squashfs {

namespace {

constexpr std::size_t kBatches = 8, kBatchBytes = 256 << 10, kBatchPieces = 512;
constexpr std::size_t kXattrBytesMax = 65536;

}  // namespace

Result<UniqueFd> TreeCalls::OpenAt(int dir_fd, const std::string& name, int flags) {
  return slipway::OpenAt(dir_fd, name, flags);
}
int TreeCalls::Stat(int fd, struct stat& info) { return ::fstat(fd, &info); }
ssize_t TreeCalls::ListXattr(int fd, char* names, std::size_t size) { return ::flistxattr(fd, names, size); }
ssize_t TreeCalls::GetXattr(int fd, const char* name, char* value, std::size_t size) {
  return ::fgetxattr(fd, name, value, size);
}
ssize_t TreeCalls::Read(int fd, char* to, std::size_t size) { return ::read(fd, to, size); }

Result<std::unique_ptr<TreeReader>> TreeReader::Start(TreeCalls& calls, int top_fd, TreeWalk& walk,
                                                      Admission& admission) {
  std::unique_ptr<TreeReader> reader(new TreeReader(calls, walk, admission));
  auto work = [self = reader.get(), top_fd](Reading::Giver& giver) {
    self->giver_ = &giver;
    return self->Run(top_fd);
  };
  reader->ahead_ = TRY(Reading::Start(kBatches, work));
  return reader;
}

Result<> TreeReader::Give() {
  TRY(giver_->Give());
  Batch& batch = giver_->batch();
  batch.pieces.clear();
  batch.used = 0;
  return {};
}

Result<TreeReader::Piece*> TreeReader::NewPiece(Node& node) {
  if (giver_->batch().pieces.size() == kBatchPieces) TRY(Give());
  Batch& batch = giver_->batch();
  batch.bytes.resize(kBatchBytes);
  batch.pieces.push_back({.node = &node});
  return &batch.pieces.back();
}

Result<> TreeReader::Run(int top_fd) {
  Node* root = TRY(walk_.Take());
  TRY(NewPiece(*root))->xattrs = TRY(ReadXattrs(top_fd, *root));
  TRY(ReadDirectory(top_fd, *root));
  return Give();
}

// One name at a time, never through a link: what is read the second time must not be led elsewhere by one
// that somebody swaps in meanwhile.
Result<> TreeReader::ReadDirectory(int dir_fd, Node& directory) {
  for (auto& child : directory.children) {
    if (child->IsDirectory()) TRY(ReadSubdirectory(dir_fd, *child));
  }
  for (auto& child : directory.children) {
    ++entries_;
    if (child->IsDirectory()) continue;
    links_.Meet(*child);
    if (child->IsFile() && child->same_as == nullptr) TRY(ReadFile(dir_fd, *child));
  }
  return {};
}

Result<> TreeReader::ReadSubdirectory(int dir_fd, Node& directory) {
  CHECK(TRY(walk_.Take()) == &directory);
  UniqueFd fd = TRY(calls_.OpenAt(dir_fd, directory.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto xattrs = TRY(ReadXattrs(fd.get(), directory));
  if (!xattrs.empty()) TRY(NewPiece(directory))->xattrs = std::move(xattrs);
  return ReadDirectory(fd.get(), directory);
}

Result<> TreeReader::ReadFile(int dir_fd, Node& node) {
  UniqueFd fd =
      TRY_CONTEXT(calls_.OpenAt(dir_fd, node.name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW), node.Path());
  struct stat info;
  if (calls_.Stat(fd.get(), info) < 0) return ErrnoFail("fstat", node.Path());
  if (!S_ISREG(info.st_mode)) return Fail(Code::kAborted, node.Path(), " changed while it was packed");
  auto xattrs = TRY(ReadXattrs(fd.get(), node));
  auto size = static_cast<std::uint64_t>(info.st_size);
  // A file that fits into one batch is in one.
  Batch& batch = giver_->batch();
  if (batch.used > 0 && size > kBatchBytes - batch.used) TRY(Give());
  Piece& piece = *TRY(NewPiece(node));
  piece.begins = true;
  piece.xattrs = std::move(xattrs);
  return ReadBytes(fd.get(), node, size);
}

// As much as there was when we looked: what is written meanwhile would be in it by half anyhow.
Result<> TreeReader::ReadBytes(int fd, Node& node, std::uint64_t left) {
  while (left > 0) {
    if (giver_->batch().used == kBatchBytes) {
      TRY(Give());
      TRY(NewPiece(node));
    }
    Batch& batch = giver_->batch();
    ssize_t n = calls_.Read(fd, batch.bytes.data() + batch.used,
                            std::min<std::uint64_t>(left, kBatchBytes - batch.used));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("read", node.Path());
    if (n == 0) break;
    auto got = static_cast<std::size_t>(n);
    left -= got;
    batch.used += got;
    batch.pieces.back().size += got;
    TRY(admission_.CountBytes(got));
  }
  Piece& last = giver_->batch().pieces.back();
  last.ends = true;
  last.entries = entries_;
  return {};
}

Result<std::vector<Xattr>> TreeReader::ReadXattrs(int fd, const Node& node) {
  std::vector<Xattr> kept;
  // Nearly always there are none; the kernel would get 64 KiB for the answer first.
  ssize_t size = calls_.ListXattr(fd, nullptr, 0);
  if (size == 0) return kept;
  std::string names(kXattrBytesMax, '\0');
  if (size > 0) size = calls_.ListXattr(fd, names.data(), names.size());
  if (size < 0 && (errno == ENOTSUP || errno == EPERM)) return kept;
  if (size < 0) return ErrnoFail("listxattr", node.Path());
  for (const char* name = names.data(); name < names.data() + size; name += std::strlen(name) + 1) {
    if (!TRY(admission_.AdmitXattr(node, name))) continue;
    std::string value(kXattrBytesMax, '\0');
    ssize_t got = calls_.GetXattr(fd, name, value.data(), value.size());
    if (got < 0) return ErrnoFail(Cat("getxattr ", name), node.Path());
    value.resize(static_cast<std::size_t>(got));
    kept.push_back({name, std::move(value)});
  }
  std::sort(kept.begin(), kept.end(), [](const Xattr& a, const Xattr& b) { return a.key < b.key; });
  return kept;
}

}  // namespace slipway::squashfs
