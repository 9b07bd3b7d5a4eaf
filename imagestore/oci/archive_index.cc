// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/archive_index.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "imagestore/oci/unprivileged.h"

namespace slipway::oci {

namespace {

constexpr std::size_t kMembersMax = 100'000;

// "./a//b/../c" → "a/c".
std::string Normal(const std::string& name) {
  std::vector<std::string> parts;
  for (const std::string& part : Split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (part != "..") parts.push_back(part);
  }
  return Join(parts, "/");
}

// The archive without its compression.
Result<> Decompress(int fd, int out_fd, std::uint64_t bytes_max) {
  struct Free {
    void operator()(archive* a) const { archive_read_free(a); }
  };
  std::unique_ptr<archive, Free> reader(archive_read_new());
  archive* a = reader.get();
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_zstd(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_format_raw(a);
  archive_entry* entry;
  if (::lseek(fd, 0, SEEK_SET) < 0) return ErrnoFail("lseek");
  if (archive_read_open_fd(a, fd, 1 << 20) != ARCHIVE_OK || archive_read_next_header(a, &entry) != ARCHIVE_OK)
    return Fail(Code::kInvalidArgument, "no usable archive");
  std::string buffer(1 << 20, '\0');
  std::uint64_t written = 0;
  for (;;) {
    la_ssize_t n = archive_read_data(a, buffer.data(), buffer.size());
    if (n < 0) return Fail(Code::kInvalidArgument, "no usable archive");
    if (n == 0) return {};
    written += static_cast<std::uint64_t>(n);
    if (written > bytes_max)
      return Fail(Code::kOutOfRange, "the archive unpacks to more than ", FormatBytes(bytes_max),
                  "; --max-bytes allows more");
    TRY(WriteAll(out_fd, {buffer.data(), static_cast<std::size_t>(n)}));
  }
}

class Checking : public squashfs::ByteSource {
 public:
  Checking(std::unique_ptr<squashfs::ByteSource> source, std::string digest)
      : source_(std::move(source)), digest_(std::move(digest)) {}
  Result<std::size_t> Read(std::span<char> buffer) override {
    std::size_t n = done_ ? 0 : TRY(source_->Read(buffer));
    if (n > 0) {
      hash_.Update({buffer.data(), n});
      return n;
    }
    if (!std::exchange(done_, true)) good_ = hash_.Finish() == digest_;
    // Said each time: a reader that has all it needs may overlook it once.
    if (!good_) return Fail(Code::kDataLoss, "its bytes are not those of ", digest_);
    return n;
  }

 private:
  std::unique_ptr<squashfs::ByteSource> source_;
  std::string digest_;
  Sha256 hash_;
  bool done_ = false, good_ = false;
};

}  // namespace

std::unique_ptr<squashfs::ByteSource> CheckedSource(std::unique_ptr<squashfs::ByteSource> source,
                                                    std::string digest) {
  return std::make_unique<Checking>(std::move(source), std::move(digest));
}

// Runs without root's rights; what it found comes back as text.
Result<ArchiveIndex> ArchiveIndex::Open(const std::string& path, const std::string& scratch_folder,
                                        std::uint64_t bytes_max) {
  ArchiveIndex index;
  index.path_ = path;
  index.file_ = TRY(slipway::Open(path, O_RDONLY | O_NONBLOCK));
  UniqueFd scratch = TRY(slipway::Open(scratch_folder, O_TMPFILE | O_RDWR, 0600));
  auto work = [&](const auto&) -> Result<std::string> {
    std::uint64_t size = TRY(SizeOfFile(index.file_.get()));
    auto tar = TRY(squashfs::TarStream::Open(squashfs::FilePart(index.file_.get(), 0, size),
                                             squashfs::TarStream::Reading::kHere));
    TRY(tar.Next());
    bool compressed = tar.is_compressed();
    if (compressed) TRY(Decompress(index.file_.get(), scratch.get(), bytes_max));
    TRY(index.Scan(compressed ? scratch.get() : index.file_.get()));
    return index.Encoded(compressed);
  };
  std::string found = TRY_CONTEXT(Unprivileged({work}), path);
  if (TRY(index.Decode(found))) index.file_ = std::move(scratch);
  return index;
}

std::string ArchiveIndex::Encoded(bool compressed) const {
  nlohmann::json members = nlohmann::json::object();
  for (auto& [name, member] : members_) members[name] = {member.offset, member.size};
  nlohmann::json json = {{"compressed", compressed}, {"members", members}, {"links", links_}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The offsets are looked at again when something is read: beyond the file's end there is nothing.
Result<bool> ArchiveIndex::Decode(const std::string& text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  auto bad = [] { return Fail(Code::kInternal, "the archive's index is malformed"); };
  if (!json.is_object() || !json["members"].is_object() || !json["links"].is_object() ||
      !json["compressed"].is_boolean())
    return bad();
  members_.clear();
  links_.clear();
  for (auto& [name, value] : json["members"].items()) {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
        !value[1].is_number_unsigned())
      return bad();
    members_[name] = {value[0].get<std::uint64_t>(), value[1].get<std::uint64_t>()};
  }
  for (auto& [name, value] : json["links"].items()) {
    if (!value.is_string()) return bad();
    links_[name] = value.get<std::string>();
  }
  return json["compressed"].get<bool>();
}

Result<> ArchiveIndex::Scan(int fd) {
  std::uint64_t size = TRY(SizeOfFile(fd));
  auto tar =
      TRY(squashfs::TarStream::Open(squashfs::FilePart(fd, 0, size), squashfs::TarStream::Reading::kHere));
  for (auto entry = TRY(tar.Next()); entry; entry = TRY(tar.Next())) {
    if (members_.size() + links_.size() >= kMembersMax)
      return Fail(Code::kOutOfRange, "more than ", kMembersMax, " members");
    std::string name = Normal(entry->entry.path);
    if (!entry->entry.hard_link.empty()) {
      links_[name] = Normal(entry->entry.hard_link);
    } else if (S_ISLNK(entry->entry.mode)) {
      std::size_t slash = name.rfind('/');
      links_[name] =
          Normal(Cat(slash == std::string::npos ? "" : name.substr(0, slash), "/", entry->entry.target));
    } else if (S_ISREG(entry->entry.mode)) {
      if (entry->data_offset > size || entry->size > size - entry->data_offset)
        return Fail(Code::kInvalidArgument, name, " runs past the archive's end");
      members_[name] = {entry->data_offset, entry->size};
    }
  }
  return {};
}

Result<ArchiveIndex::Member> ArchiveIndex::Find(const std::string& wanted) const {
  std::string name = Normal(wanted);
  for (int followed = 0; followed < 8; ++followed) {
    if (auto found = members_.find(name); found != members_.end()) return found->second;
    auto link = links_.find(name);
    if (link == links_.end()) break;
    name = link->second;
  }
  return Fail(Code::kNotFound, path_, ": there is no ", wanted, " in it");
}

Result<std::string> ArchiveIndex::ReadSmall(const std::string& name, std::size_t bytes_max) const {
  Member member = TRY(Find(name));
  if (member.size > bytes_max)
    return Fail(Code::kOutOfRange, path_, ": ", name, " has ", member.size, " bytes");
  std::string bytes(member.size, '\0');
  TRY(ReadExactlyAt(file_.get(), std::as_writable_bytes(std::span(bytes)), member.offset));
  return bytes;
}

}  // namespace slipway::oci
