// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/crypto/crypto.h"
#include "imagestore/sif/layout.h"
#include "imagestore/sif/sif.h"
#include "imagestore/sif/write_at.h"

namespace slipway::sif {

namespace {

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
  std::vector<std::string> entries;  // descriptors
  std::optional<std::uint64_t> open_partition;
  bool has_primary = false;

  ~State() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }
  Result<> Describe(const NewObject& object, std::uint64_t offset, std::uint64_t size);
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
  return AddObject(NewObject{.type = type, .name = std::string(name)}, bytes);
}

Result<> Writer::AddObject(const NewObject& object, std::string_view bytes) {
  TRY(state_->CheckRoom());
  std::uint64_t offset = object.AlignedFrom(state_->end);
  TRY_CONTEXT(WriteAt(state_->fd.get(), bytes, offset), state_->path);
  NewObject described = object;
  if (object.type == DataType::kOciBlob || object.type == DataType::kOciRootIndex)
    described.extra = OciExtra(DigestOf(bytes));
  return state_->Describe(described, offset, bytes.size());
}

Result<Writer::Place> Writer::BeginPartition() {
  TRY(state_->CheckRoom());
  state_->open_partition = NewObject{.type = DataType::kPartition}.AlignedFrom(state_->end);
  return Place{state_->fd.get(), *state_->open_partition};
}

Result<> Writer::EndPartition(std::string_view name, std::uint64_t size, FsType fs_type, PartType part_type,
                              std::string_view arch) {
  if (!state_->open_partition) return Fail(Code::kFailedPrecondition, "no partition was begun");
  std::uint64_t offset = *std::exchange(state_->open_partition, std::nullopt);
  NewObject object{.type = DataType::kPartition, .name = std::string(name)};
  object.extra = PartitionExtra(fs_type, part_type, arch);
  return state_->Describe(object, offset, size);
}

Result<> Writer::State::Describe(const NewObject& object, std::uint64_t offset, std::uint64_t size) {
  TRY(CheckNewObject(object));
  if (object.IsPrimarySystem()) {
    if (has_primary) return Fail(Code::kAlreadyExists, "a SIF has one primary system partition");
    has_primary = true;
    arch_code = object.extra.substr(8, 2);
  }
  auto id = static_cast<std::uint32_t>(entries.size() + 1);
  entries.push_back(EncodeDescriptor(object, id, offset, size, offset - end + size, now));
  end = offset + size;
  return {};
}

std::string Writer::State::Table() const {
  std::string table;
  for (const std::string& entry : entries) table += entry;
  table.resize(std::size_t{kNewDescriptors} * kDescriptorSize);
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
  TRY_CONTEXT(WriteAt(s.fd.get(), s.Table(), kNewTableOffset), s.path);
  TRY_CONTEXT(WriteAt(s.fd.get(), s.HeaderBytes(), 0), s.path);
  if (::fchmod(s.fd.get(), s.options.mode & ~Umask()) < 0) return ErrnoFail("fchmod", s.temporary);
  if (::fsync(s.fd.get()) < 0) return ErrnoFail("fsync", s.temporary);
  if (::rename(s.temporary.c_str(), s.path.c_str()) < 0) return ErrnoFail("rename to", s.path);
  s.temporary.clear();
  return {};
}

}  // namespace slipway::sif
