// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/crypto/crypto.h"
#include "imagestore/sif/layout.h"
#include "imagestore/sif/sif.h"

namespace slipway::sif {

namespace {

struct Entry {
  DataType type;
  std::string name;
  std::uint64_t offset, size, size_with_padding;
  std::string extra;
};

Result<> PwriteAll(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

std::uint64_t AlignUp(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

// mkostemp makes files 0600; what the user's umask allows is wanted. umask(2) can only be read by setting it.
unsigned Umask() {
  mode_t mask = ::umask(077);
  ::umask(mask);
  return mask;
}

}  // namespace

struct Writer::State {
  std::string path, temporary;
  WriterOptions options;
  UniqueFd fd;
  std::int64_t now = 0;
  std::uint64_t end = kNewDataOffset;
  std::string arch_code = "00";
  std::vector<Entry> entries;
  std::optional<std::uint64_t> open_partition;

  ~State() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }
  std::string Table() const;
  std::string HeaderBytes() const;
  Result<> CheckRoom() const {
    if (open_partition)
      return Fail(Code::kFailedPrecondition, "a partition of ", path, " is still being written");
    if (entries.size() >= kNewDescriptors)
      return Fail(Code::kResourceExhausted, "a SIF written here has room for ", kNewDescriptors, " objects");
    return {};
  }
};

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::Create(const std::string& path, const WriterOptions& options) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->options = options;
  state->now = options.epoch.value_or(static_cast<std::int64_t>(std::time(nullptr)));
  std::string temporary = path + ".XXXXXX";
  state->fd = UniqueFd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!state->fd) return ErrnoFail("create", temporary);
  state->temporary = temporary;
  return Writer(std::move(state));
}

Result<> Writer::AddObject(DataType type, std::string_view name, std::string_view bytes) {
  TRY(state_->CheckRoom());
  TRY_CONTEXT(PwriteAll(state_->fd.get(), bytes, state_->end), state_->path);
  state_->entries.push_back({type, std::string(name), state_->end, bytes.size(), bytes.size(), {}});
  state_->end += bytes.size();
  return {};
}

Result<Writer::Place> Writer::BeginPartition() {
  TRY(state_->CheckRoom());
  state_->open_partition = AlignUp(state_->end, kPartitionAlignment);
  return Place{state_->fd.get(), *state_->open_partition};
}

Result<> Writer::EndPartition(std::string_view name, std::uint64_t size, FsType fs_type, PartType part_type,
                              std::string_view arch) {
  if (!state_->open_partition) return Fail(Code::kFailedPrecondition, "no partition was begun");
  std::uint64_t offset = *std::exchange(state_->open_partition, std::nullopt);
  std::string extra(kExtraSize, '\0');
  StoreLe<std::int32_t>(extra.data(), static_cast<std::int32_t>(fs_type));
  StoreLe<std::int32_t>(extra.data() + 4, static_cast<std::int32_t>(part_type));
  std::string code(ArchCode(arch));
  code.copy(extra.data() + 8, 2);
  if (part_type == PartType::kPrimarySystem) {
    for (const Entry& entry : state_->entries) {
      if (entry.type == DataType::kPartition &&
          LoadLe<std::int32_t>(entry.extra.data() + 4) == static_cast<std::int32_t>(part_type)) {
        return Fail(Code::kAlreadyExists, "a SIF has one primary system partition");
      }
    }
    state_->arch_code = code;
  }
  state_->entries.push_back(
      {DataType::kPartition, std::string(name), offset, size, offset - state_->end + size, extra});
  state_->end = offset + size;
  return {};
}

std::string Writer::State::Table() const {
  std::string table(std::size_t{kNewDescriptors} * kDescriptorSize, '\0');
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    char* raw = table.data() + i * kDescriptorSize;
    StoreLe<std::int32_t>(raw, static_cast<std::int32_t>(entry.type));
    raw[kUsedIn] = 1;
    StoreLe<std::uint32_t>(raw + kIdIn, static_cast<std::uint32_t>(i + 1));
    StoreLe<std::uint32_t>(raw + kGroupIn, kGroupMask | 1);
    StoreLe<std::int64_t>(raw + kOffsetIn, static_cast<std::int64_t>(entry.offset));
    StoreLe<std::int64_t>(raw + kSizeIn, static_cast<std::int64_t>(entry.size));
    StoreLe<std::int64_t>(raw + kPaddedIn, static_cast<std::int64_t>(entry.size_with_padding));
    StoreLe<std::int64_t>(raw + kCreatedIn, now);
    StoreLe<std::int64_t>(raw + kModifiedIn, now);
    entry.name.copy(raw + kNameIn, kNameSize - 1);
    entry.extra.copy(raw + kExtraIn, kExtraSize);
  }
  return table;
}

std::string Writer::State::HeaderBytes() const {
  std::string header(kHeaderSize, '\0');
  char* raw = header.data();
  std::memcpy(raw, kLaunch, sizeof kLaunch - 1);
  std::memcpy(raw + kMagicAt, kMagic, kMagicSize);
  std::memcpy(raw + kVersionAt, kVersion, kVersionSize);
  arch_code.copy(raw + kArchAt, 2);
  if (!options.epoch) {
    std::string uuid = RandomBytes(kUuidSize);
    uuid[6] = static_cast<char>((uuid[6] & 0x0f) | 0x40);  // RFC 4122, version 4
    uuid[8] = static_cast<char>((uuid[8] & 0x3f) | 0x80);
    uuid.copy(raw + kUuidAt, kUuidSize);
  }
  StoreLe<std::int64_t>(raw + kCreatedAt, now);
  StoreLe<std::int64_t>(raw + kModifiedAt, now);
  StoreLe<std::int64_t>(raw + kFreeAt, kNewDescriptors - static_cast<std::int64_t>(entries.size()));
  StoreLe<std::int64_t>(raw + kTotalAt, kNewDescriptors);
  StoreLe<std::int64_t>(raw + kTableOffsetAt, kNewTableOffset);
  StoreLe<std::int64_t>(raw + kTableSizeAt, kNewDescriptors * kDescriptorSize);
  StoreLe<std::int64_t>(raw + kDataOffsetAt, kNewDataOffset);
  StoreLe<std::int64_t>(raw + kDataSizeAt, static_cast<std::int64_t>(end - kNewDataOffset));
  return header;
}

Result<> Writer::Commit() {
  State& s = *state_;
  if (s.open_partition)
    return Fail(Code::kFailedPrecondition, "a partition of ", s.path, " is still being written");
  // A failed packing may have written past what was kept; a file without data still has its whole table.
  if (::ftruncate(s.fd.get(), static_cast<off_t>(s.end)) < 0) return ErrnoFail("ftruncate", s.temporary);
  TRY_CONTEXT(PwriteAll(s.fd.get(), s.Table(), kNewTableOffset), s.path);
  TRY_CONTEXT(PwriteAll(s.fd.get(), s.HeaderBytes(), 0), s.path);
  if (::fchmod(s.fd.get(), s.options.mode & ~Umask()) < 0) return ErrnoFail("fchmod", s.temporary);
  if (::fsync(s.fd.get()) < 0) return ErrnoFail("fsync", s.temporary);
  if (::rename(s.temporary.c_str(), s.path.c_str()) < 0) return ErrnoFail("rename to", s.path);
  s.temporary.clear();
  return {};
}

}  // namespace slipway::sif
