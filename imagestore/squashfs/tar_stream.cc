// SPDX-License-Identifier: Apache-2.0
#include "imagestore/squashfs/tar_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "imagestore/squashfs/gunzip.h"

namespace slipway::squashfs {

namespace {

constexpr std::size_t kXattrsMax = 1024;
constexpr std::size_t kPaddingMax = 64 << 20;

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

struct TarStream::State {
  std::unique_ptr<Pieces> pieces;  // unpacked, where it is gzip
  bool is_gzip = false;
  std::span<const char> peeked;  // the first piece, until libarchive has seen it
  std::optional<Error> failed;   // of the source: libarchive only says that reading failed
  std::unique_ptr<archive, ArchiveFree> reader;
  std::uint64_t size = 0, at = 0;  // of the entry's data; what Read has given of it
  std::span<const char> block;     // of it, what Read has still to give,
  std::uint64_t block_at = 0;      // from here on
  bool ended = false;              // there is no block behind it

  static la_ssize_t ReadCallback(archive* a, void* client, const void** out) {
    auto& self = *static_cast<State*>(client);
    auto piece = std::exchange(self.peeked, {});
    if (piece.empty()) {
      auto next = self.pieces->Next();
      if (!next) {
        self.failed = next.error();
        archive_set_error(a, EIO, "the source failed");
        return -1;
      }
      piece = *next;
    }
    *out = piece.data();
    return static_cast<la_ssize_t>(piece.size());
  }
  static la_int64_t SkipCallback(archive*, void* client, la_int64_t bytes) {
    auto& self = *static_cast<State*>(client);
    if (!self.peeked.empty() || bytes <= 0) return 0;
    return static_cast<la_int64_t>(self.pieces->Skip(static_cast<std::uint64_t>(bytes)));
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

Result<TarStream> TarStream::Open(std::unique_ptr<ByteSource> source, Reading reading) {
  auto pieces = [reading](std::unique_ptr<ByteSource> of) -> Result<std::unique_ptr<Pieces>> {
    if (reading == Reading::kAhead) return PiecesAhead(std::move(of));
    return PiecesOf(std::move(of));
  };
  auto state = std::make_unique<State>();
  state->pieces = TRY(pieces(std::move(source)));
  state->peeked = TRY(state->pieces->Next());
  if (Gunzip::Looks(state->peeked)) {
    auto begun = std::exchange(state->peeked, {});
    state->pieces = TRY(pieces(std::make_unique<Gunzip>(std::move(state->pieces), begun)));
    state->is_gzip = true;
  }
  state->reader.reset(archive_read_new());
  archive* a = state->reader.get();
  if (a == nullptr) return Fail(Code::kResourceExhausted, "no memory for reading a tar");
  archive_read_support_filter_zstd(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_format_tar(a);
  archive_read_support_format_empty(a);
  if (archive_read_open2(a, state.get(), nullptr, State::ReadCallback, State::SkipCallback, nullptr) !=
      ARCHIVE_OK)
    return state->Failed();
  return TarStream(std::move(state));
}

bool TarStream::is_compressed() const {
  return state_->is_gzip || archive_filter_code(state_->reader.get(), 0) != ARCHIVE_FILTER_NONE;
}

Result<std::optional<TarStream::Entry>> TarStream::Next() {
  archive_entry* raw = nullptr;
  int code = archive_read_next_header(state_->reader.get(), &raw);
  if (code == ARCHIVE_EOF) return std::optional<Entry>();
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return state_->Failed();
  state_->at = state_->block_at = 0;
  state_->block = {};
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
  state_->size = made.size;
  state_->ended = made.size == 0;
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
  // A gzip file's checksum comes last. More than padding behind a tar is somebody's game.
  std::size_t left = kPaddingMax;
  for (;;) {
    std::size_t n = TRY(state_->pieces->Next()).size();
    if (n == 0) return {};
    if (!state_->is_gzip) continue;
    if (n > left) return Fail(Code::kOutOfRange, "a layer has too much behind the end of its tar");
    left -= n;
  }
}

// In the place where libarchive has it: what it offers for copying costs a tenth of the packing.
Result<std::span<const char>> TarStream::Read() {
  State& s = *state_;
  while (s.at == s.block_at && s.block.empty() && !s.ended) {
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t at = 0;
    int code = archive_read_data_block(s.reader.get(), &bytes, &size, &at);
    if (code < ARCHIVE_OK) return s.Failed();
    // libarchive says nothing of a hole at the end.
    s.ended = code == ARCHIVE_EOF;
    s.block = s.ended ? std::span<const char>() : std::span(static_cast<const char*>(bytes), size);
    s.block_at = s.ended ? std::max(s.at, s.size) : static_cast<std::uint64_t>(std::max<la_int64_t>(at, 0));
    if (s.block_at < s.at || s.block_at > s.size || s.block.size() > s.size - s.block_at)
      return Fail(Code::kInvalidArgument, "a layer is no usable tar: a sparse file's parts are out of place");
  }
  static constexpr char kZeros[65536] = {};
  std::span<const char> given;
  if (s.at < s.block_at) {
    given = std::span(kZeros).first(std::min<std::uint64_t>(sizeof kZeros, s.block_at - s.at));
    s.at += given.size();
  } else {
    given = std::exchange(s.block, {});
    s.block_at = s.at += given.size();
  }
  return given;
}

}  // namespace slipway::squashfs
