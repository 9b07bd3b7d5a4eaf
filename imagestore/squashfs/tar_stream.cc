// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/tar_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "imagestore/squashfs/gunzip.h"

namespace slipway::squashfs {

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kXattrsMax = 1024;
constexpr std::size_t kPaddingMax = 64 << 20;

class FilePartSource : public ByteSource {
 public:
  FilePartSource(int fd, std::uint64_t offset, std::uint64_t size)
      : fd_(fd), at_(offset), end_(offset + size) {}
  Result<std::size_t> Read(std::span<char> buffer) override {
    std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end_ - at_);
    if (wanted == 0) return std::size_t{0};
    for (;;) {
      ssize_t n = ::pread(fd_, buffer.data(), wanted, static_cast<off_t>(at_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("read");
      at_ += static_cast<std::uint64_t>(n);
      return static_cast<std::size_t>(n);
    }
  }

 private:
  int fd_;
  std::uint64_t at_, end_;
};

class PipeSource : public ByteSource {
 public:
  explicit PipeSource(int fd) : fd_(fd) {}
  Result<std::size_t> Read(std::span<char> buffer) override {
    for (;;) {
      ssize_t n = ::read(fd_, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("read");
      return static_cast<std::size_t>(n);
    }
  }

 private:
  int fd_;
};

struct ArchiveFree {
  void operator()(archive* a) const { archive_read_free(a); }
};

std::string Text(const char* text) { return text != nullptr ? text : ""; }

std::uint32_t DeviceOf(archive_entry* entry) {
  auto high = static_cast<std::uint32_t>(archive_entry_rdevmajor(entry));
  auto low = static_cast<std::uint32_t>(archive_entry_rdevminor(entry));
  return (low & 0xff) | (high << 8) | ((low & ~0xffU) << 12);
}

}  // namespace

std::unique_ptr<ByteSource> FilePart(int fd, std::uint64_t offset, std::uint64_t size) {
  return std::make_unique<FilePartSource>(fd, offset, size);
}
std::unique_ptr<ByteSource> PipeBytes(int fd) { return std::make_unique<PipeSource>(fd); }

struct TarStream::State {
  std::unique_ptr<ByteSource> source;
  std::unique_ptr<Gunzip> gunzip;  // between the source and libarchive, where it is gzip
  std::vector<char> buffer;
  std::size_t peeked = 0;       // bytes of `buffer` that libarchive has not seen yet
  std::optional<Error> failed;  // of the source: libarchive only says that reading failed
  std::unique_ptr<archive, ArchiveFree> reader;

  static la_ssize_t ReadCallback(archive* a, void* client, const void** out) {
    auto& self = *static_cast<State*>(client);
    if (std::size_t peeked = std::exchange(self.peeked, 0); peeked > 0) {
      *out = self.buffer.data();
      return static_cast<la_ssize_t>(peeked);
    }
    auto n = self.gunzip ? self.gunzip->Read(self.buffer) : self.source->Read(self.buffer);
    if (!n) {
      self.failed = n.error();
      archive_set_error(a, EIO, "the source failed");
      return -1;
    }
    *out = self.buffer.data();
    return static_cast<la_ssize_t>(*n);
  }
  Failure Failed() {
    if (failed) return Failure(*failed);
    return Fail(Code::kInvalidArgument,
                "a layer is no usable tar: ", Text(archive_error_string(reader.get())));
  }
};

TarStream::TarStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
TarStream::TarStream(TarStream&&) noexcept = default;
TarStream::~TarStream() = default;

Result<TarStream> TarStream::Open(std::unique_ptr<ByteSource> source) {
  auto state = std::make_unique<State>();
  state->source = std::move(source);
  state->buffer.resize(kBufferBytes);
  // Two bytes tell gzip from the rest.
  while (state->peeked < 2) {
    std::size_t n = TRY(state->source->Read(std::span(state->buffer).subspan(state->peeked)));
    if (n == 0) break;
    state->peeked += n;
  }
  if (Gunzip::Looks(std::span(state->buffer).first(state->peeked))) {
    std::string begun(state->buffer.data(), std::exchange(state->peeked, 0));
    state->gunzip = std::make_unique<Gunzip>(*state->source, std::move(begun));
  }
  state->reader.reset(archive_read_new());
  archive* a = state->reader.get();
  if (a == nullptr) return Fail(Code::kResourceExhausted, "no memory for reading a tar");
  archive_read_support_filter_zstd(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_format_tar(a);
  archive_read_support_format_empty(a);
  if (archive_read_open2(a, state.get(), nullptr, State::ReadCallback, nullptr, nullptr) != ARCHIVE_OK)
    return state->Failed();
  return TarStream(std::move(state));
}

bool TarStream::is_compressed() const {
  return state_->gunzip != nullptr || archive_filter_code(state_->reader.get(), 0) != ARCHIVE_FILTER_NONE;
}

Result<std::optional<TarStream::Entry>> TarStream::Next() {
  archive_entry* raw = nullptr;
  int code = archive_read_next_header(state_->reader.get(), &raw);
  if (code == ARCHIVE_EOF) return std::optional<Entry>();
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return state_->Failed();
  Entry made;
  LayerEntry& entry = made.entry;
  entry.path = Text(archive_entry_pathname(raw));
  if (entry.path.empty())
    return Fail(Code::kInvalidArgument, "a layer has an entry whose name cannot be read");
  entry.mode = archive_entry_mode(raw);
  if ((entry.mode & S_IFMT) == 0) entry.mode |= S_IFREG;
  entry.uid = static_cast<std::uint32_t>(archive_entry_uid(raw));
  entry.gid = static_cast<std::uint32_t>(archive_entry_gid(raw));
  entry.mtime = static_cast<std::uint32_t>(std::clamp<std::int64_t>(archive_entry_mtime(raw), 0, UINT32_MAX));
  entry.device = DeviceOf(raw);
  entry.target = Text(archive_entry_symlink(raw));
  entry.hard_link = Text(archive_entry_hardlink(raw));
  if (S_ISLNK(entry.mode) && entry.hard_link.empty() && (entry.target.empty() || entry.target.size() > 4095))
    return Fail(Code::kInvalidArgument, "a layer's symlink ", entry.path.substr(0, 200),
                " has no usable target");
  made.size = S_ISREG(entry.mode) && archive_entry_size(raw) > 0
                  ? static_cast<std::uint64_t>(archive_entry_size(raw))
                  : 0;
  made.data_offset = static_cast<std::uint64_t>(archive_filter_bytes(state_->reader.get(), 0));
  const char* key;
  const void* value;
  std::size_t size;
  archive_entry_xattr_reset(raw);
  while (archive_entry_xattr_next(raw, &key, &value, &size) == ARCHIVE_OK) {
    if (made.xattrs.size() >= kXattrsMax)
      return Fail(Code::kOutOfRange, "a layer's entry has too many attributes");
    made.xattrs.push_back({Text(key), std::string(static_cast<const char*>(value), size)});
  }
  std::sort(made.xattrs.begin(), made.xattrs.end(),
            [](const Xattr& a, const Xattr& b) { return a.key < b.key; });
  return std::optional<Entry>(std::move(made));
}

Result<> TarStream::Drain() {
  // Its checksum comes last. More than padding behind a tar is somebody's game.
  std::size_t left = kPaddingMax;
  for (std::size_t n = 1; state_->gunzip && n > 0; left -= n) {
    n = TRY(state_->gunzip->Read(state_->buffer));
    if (n > left) return Fail(Code::kOutOfRange, "a layer has too much behind the end of its tar");
  }
  while (TRY(state_->source->Read(state_->buffer)) > 0) continue;
  return {};
}

Result<std::size_t> TarStream::Read(std::span<char> buffer) {
  la_ssize_t n = archive_read_data(state_->reader.get(), buffer.data(), buffer.size());
  if (n < 0) return state_->Failed();
  return static_cast<std::size_t>(n);
}

}  // namespace slipway::squashfs
