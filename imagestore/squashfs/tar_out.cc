// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/tar_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/sysmacros.h>
#include <zlib.h>

#include <map>
#include <optional>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "imagestore/squashfs/source.h"
#include "imagestore/squashfs/tree.h"

namespace slipway::squashfs {

namespace {

// libarchive makes the tar, zlib packs it: between them the digest of the plain bytes is taken.
class Packed {
 public:
  explicit Packed(int fd) : fd_(fd), buffer_(1 << 18, '\0') {
    constexpr int kGzipHeader = 16 + MAX_WBITS;
    CHECK(deflateInit2(&stream_, 6, Z_DEFLATED, kGzipHeader, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~Packed() { deflateEnd(&stream_); }
  Packed(const Packed&) = delete;

  Result<> Take(std::string_view bytes) {
    hash_.Update(bytes);
    return Deflate(bytes, Z_NO_FLUSH);
  }
  Result<std::string> Finish() {
    TRY(Deflate({}, Z_FINISH));
    return hash_.Finish();
  }

 private:
  Result<> Deflate(std::string_view bytes, int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    int code;
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      code = deflate(&stream_, flush);
      TRY(WriteAll(fd_, {buffer_.data(), buffer_.size() - stream_.avail_out}));
    } while (stream_.avail_out == 0 || (flush == Z_FINISH && code == Z_OK));
    return {};
  }
  int fd_;
  std::string buffer_;
  z_stream stream_{};
  Sha256 hash_;
};

// libarchive takes names to be in the locale's charset and writes UTF-8; a program begins in one that has
// ASCII only. In this thread, for this time, they are what images have.
class Utf8Names {
 public:
  Utf8Names() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})) {
    if (utf8_ != locale_t{}) before_ = ::uselocale(utf8_);
  }
  ~Utf8Names() {
    if (utf8_ == locale_t{}) return;
    ::uselocale(before_);
    ::freelocale(utf8_);
  }
  Utf8Names(const Utf8Names&) = delete;

 private:
  locale_t utf8_, before_{};
};

class TarWriter {
 public:
  TarWriter(const Window& in, int out_fd, const Limits& limits)
      : in_(in), packed_(out_fd), admission_({}, limits) {}
  ~TarWriter() {
    if (tar_ != nullptr) archive_write_free(tar_);
  }

  Result<std::string> Run() {
    source_ = TRY(Source::Open(in_));
    TRY(source_->ReadTree(root_, admission_));
    tar_ = archive_write_new();
    archive_write_set_format_pax_restricted(tar_);
    archive_write_set_bytes_per_block(tar_, 1 << 18);
    archive_write_set_bytes_in_last_block(tar_, 1);
    archive_write_open(tar_, this, nullptr, OnBytes, nullptr);
    TRY(WriteBelow(root_));
    if (archive_write_close(tar_) != ARCHIVE_OK) return Failed();
    return packed_.Finish();
  }

 private:
  static la_ssize_t OnBytes(archive* a, void* self_pointer, const void* bytes, std::size_t size) {
    auto& self = *static_cast<TarWriter*>(self_pointer);
    auto taken = self.packed_.Take({static_cast<const char*>(bytes), size});
    if (taken) return static_cast<la_ssize_t>(size);
    self.failed_ = taken.error();
    archive_set_error(a, EIO, "writing failed");
    return -1;
  }
  Failure Failed() {
    if (failed_) return Failure(*failed_);
    const char* text = archive_error_string(tar_);
    return Fail(Code::kInternal, "making a tar: ", text != nullptr ? text : "?");
  }

  Result<> WriteBelow(Node& directory) {
    for (auto& child : directory.children) {
      TRY(WriteOne(*child));
      if (child->IsDirectory()) TRY(WriteBelow(*child));
    }
    return {};
  }

  // A warning says that a name is in no charset; it is written as the bytes that it is.
  Result<> WriteHeader(archive_entry* entry) {
    int code = archive_write_header(tar_, entry);
    return code == ARCHIVE_OK || code == ARCHIVE_WARN ? Result<>() : Result<>(Failed());
  }

  Result<> WriteOne(Node& node) {
    struct Free {
      void operator()(archive_entry* entry) const { archive_entry_free(entry); }
    };
    std::unique_ptr<archive_entry, Free> entry(archive_entry_new());
    archive_entry* e = entry.get();
    archive_entry_set_pathname(e, node.Path().c_str());
    archive_entry_set_mode(e, static_cast<mode_t>(node.mode));
    archive_entry_set_uid(e, node.uid);
    archive_entry_set_gid(e, node.gid);
    archive_entry_set_mtime(e, node.mtime, 0);
    std::uint64_t size = node.IsFile() && node.same_as == nullptr ? Source::FileSize(*node.source) : 0;
    archive_entry_set_size(e, static_cast<la_int64_t>(size));
    if (S_ISLNK(node.mode)) archive_entry_set_symlink(e, node.target.c_str());
    // The carrier of a hard link may come later in the order of names: the first name met is the file here.
    if (node.link_key != 0 && !node.IsDirectory()) {
      auto [first, is_new] = written_.try_emplace(node.link_key, node.Path());
      if (!is_new) {
        archive_entry_set_hardlink(e, first->second.c_str());
        archive_entry_set_size(e, 0);
        return WriteHeader(e);
      }
    }
    Node& file = node.same_as != nullptr ? *node.same_as : node;
    if (node.IsFile()) archive_entry_set_size(e, static_cast<la_int64_t>(Source::FileSize(*file.source)));
    for (const Xattr& xattr : TRY(source_->ReadXattrs(file, admission_)))
      archive_entry_xattr_add_entry(e, xattr.key.c_str(), xattr.value.data(), xattr.value.size());
    TRY(WriteHeader(e));
    if (!node.IsFile()) return {};
    TRY(admission_.CountBytes(Source::FileSize(*file.source)));
    return source_->ReadData(*file.source, UINT64_MAX, node.Path(),
                             [this](std::span<const char> bytes) -> Result<> {
                               if (archive_write_data(tar_, bytes.data(), bytes.size()) < 0) return Failed();
                               return {};
                             });
  }

  Window in_;
  Utf8Names names_;
  Packed packed_;
  Admission admission_;
  Node root_;
  std::unique_ptr<Source> source_;
  std::map<std::uint64_t, std::string> written_;
  archive* tar_ = nullptr;
  std::optional<Error> failed_;
};

}  // namespace

Result<std::string> WriteTarGz(const Window& in, int out_fd, const Limits& limits) {
  return TarWriter(in, out_fd, limits).Run();
}

}  // namespace slipway::squashfs
