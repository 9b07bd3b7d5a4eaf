// SPDX-License-Identifier: Apache-2.0
// Building on an existing image needs its files on disk. The tree is made without data first, then the data
// follows in the order in which it lies in the image, then times (which writing changes).
#include <fcntl.h>
#include <sys/xattr.h>

#include "base/os/fd.h"
#include "imagestore/squashfs/reader.h"
#include "imagestore/squashfs/source.h"

namespace slipway::squashfs {

namespace {

class Unpacker {
 public:
  Unpacker(int top_fd, const PackOptions& options)
      : top_fd_(top_fd),
        options_(options),
        admission_(options.policy, options.limits),
        as_root_(::geteuid() == 0) {}

  Result<PackSummary> Run(const Window& in) {
    source_ = TRY(Source::Open(in));
    TRY(source_->ReadTree(root_, admission_));
    std::vector<Node*> files = Source::FilesInDataOrder(root_);
    progress_.entries_total = admission_.summary().entries;
    for (const Node* file : files) {
      TRY(admission_.CountBytes(Source::FileSize(*file->source)));
    }
    progress_.bytes_total = admission_.summary().bytes_in;
    TRY(MakeTree(root_, top_fd_));
    for (Node* file : files) TRY(WriteFile(*file));
    TRY(Finish(root_, top_fd_));
    return std::move(admission_.summary());
  }

 private:
  // Whoever cancels does not wait for a hundred thousand files first.
  Result<> MayGoOn() const { return options_.progress ? options_.progress(progress_) : Result<>(); }

  // Directories are 0700 until all is in them. Names come from a sorted, checked tree; every step is relative
  // to a directory that we made, so nothing can lead out.
  Result<> MakeTree(Node& directory, int dir_fd) {
    for (auto& child : directory.children) {
      TRY(MayGoOn());
      const char* name = child->name.c_str();
      if (child->IsDirectory()) {
        if (::mkdirat(dir_fd, name, 0700) < 0) return ErrnoFail("mkdir", child->Path());
        UniqueFd fd = TRY(OpenAt(dir_fd, child->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        TRY(MakeTree(*child, fd.get()));
      } else if (S_ISLNK(child->mode)) {
        if (::symlinkat(child->target.c_str(), dir_fd, name) < 0) return ErrnoFail("symlink", child->Path());
      } else if (child->same_as != nullptr) {
        continue;  // when the file is there
      } else if (child->IsFile()) {
        UniqueFd made = TRY_CONTEXT(
            OpenAt(dir_fd, child->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600), child->Path());
      } else if (::mknodat(dir_fd, name, (child->mode & S_IFMT) | 0600, 0) < 0) {
        return ErrnoFail("mknod", child->Path());
      }
    }
    return {};
  }

  Result<> WriteFile(Node& node) {
    UniqueFd fd = TRY(OpenAt(top_fd_, node.Path(), O_WRONLY | O_NOFOLLOW));
    return source_->ReadData(
        *node.source, UINT64_MAX, node.Path(), [&](std::span<const char> bytes) -> Result<> {
          TRY_CONTEXT(WriteAll(fd.get(), std::string_view(bytes.data(), bytes.size())), node.Path());
          progress_.bytes += bytes.size();
          return MayGoOn();
        });
  }

  Result<> Finish(Node& directory, int dir_fd) {
    for (auto& child : directory.children) {
      TRY(MayGoOn());
      if (child->same_as != nullptr) {
        if (::linkat(top_fd_, child->same_as->Path().c_str(), dir_fd, child->name.c_str(), 0) < 0)
          return ErrnoFail("link", child->Path());
        continue;
      }
      if (child->IsDirectory()) {
        UniqueFd fd = TRY(OpenAt(dir_fd, child->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        TRY(Finish(*child, fd.get()));
      }
      TRY(Attributes(*child, dir_fd));
    }
    return {};
  }

  Result<> Attributes(Node& node, int dir_fd) {
    const char* name = node.name.c_str();
    if (as_root_ && !options_.policy.ids_to_root) {
      // EINVAL: an id that our user namespace has no number for stays ours.
      int code = ::fchownat(dir_fd, name, node.uid, node.gid, AT_SYMLINK_NOFOLLOW);
      if (code < 0 && errno != EINVAL) return ErrnoFail("chown", node.Path());
    }
    if (!S_ISLNK(node.mode)) {
      if (::fchmodat(dir_fd, name, node.mode & 07777U, 0) < 0) return ErrnoFail("chmod", node.Path());
      std::vector<Xattr> xattrs = TRY(source_->ReadXattrs(node, admission_));
      if (!xattrs.empty() && (node.IsFile() || node.IsDirectory())) TRY(SetXattrs(node, dir_fd, xattrs));
    }
    timespec times[2] = {{static_cast<time_t>(node.mtime), 0}, {static_cast<time_t>(node.mtime), 0}};
    if (::utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0) return ErrnoFail("utimens", node.Path());
    return {};
  }

  static Result<> SetXattrs(const Node& node, int dir_fd, const std::vector<Xattr>& xattrs) {
    UniqueFd fd = TRY(OpenAt(dir_fd, node.name, O_RDONLY | O_NOFOLLOW));
    for (const Xattr& xattr : xattrs) {
      int code = ::fsetxattr(fd.get(), xattr.key.c_str(), xattr.value.data(), xattr.value.size(), 0);
      if (code < 0 && errno != ENOTSUP) return ErrnoFail(Cat("setxattr ", xattr.key), node.Path());
    }
    return {};
  }

  int top_fd_;
  const PackOptions& options_;
  Admission admission_;
  bool as_root_;
  Node root_;
  Progress progress_;
  std::unique_ptr<Source> source_;
};

}  // namespace

Result<PackSummary> Unpack(const Window& in, int dir_fd, const PackOptions& options) {
  return Unpacker(dir_fd, options).Run(in);
}

}  // namespace slipway::squashfs
