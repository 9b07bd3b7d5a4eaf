// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/edit.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/crypto/crypto.h"
#include "imagestore/sif/layout.h"
#include "imagestore/sif/write_at.h"

namespace slipway::sif {

namespace {
constexpr std::size_t kCopyBytes = 1 << 20;

Result<> Sync(int fd) {
  if (::fdatasync(fd) < 0) return ErrnoFail("fdatasync");
  return {};
}
}  // namespace

Result<Editor> Editor::Open(const std::string& path) {
  UniqueFd fd = TRY(slipway::Open(path, O_RDWR | O_NONBLOCK));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return ErrnoFail("flock", path);
    return Fail(Code::kFailedPrecondition, path, ": somebody else is changing it right now; try again");
  }
  Image image = TRY_CONTEXT(Read(fd.get()), path);
  return Editor(std::move(fd), std::move(image));
}

Result<> Editor::Reload() {
  image_ = TRY(Read(fd_.get()));
  return {};
}

// Only free and used marks say which slot is free: ids may be in any order in a foreign file.
Result<std::uint64_t> Editor::FreeSlot() const {
  for (std::uint64_t slot = 0; slot < image_.header.descriptors_total; ++slot) {
    char used;
    std::uint64_t at = image_.header.table_offset + slot * kDescriptorSize + kUsedIn;
    TRY(ReadExactlyAt(fd_.get(), std::as_writable_bytes(std::span(&used, 1)), at));
    bool id_taken = std::any_of(image_.descriptors.begin(), image_.descriptors.end(),
                                [slot](const Descriptor& d) { return d.id == slot + 1; });
    if (used == 0 && !id_taken) return slot;
  }
  return Fail(Code::kResourceExhausted, "the SIF has no free descriptor left (",
              image_.header.descriptors_total, " in all); `slipway sif del` frees one");
}

std::uint64_t Editor::SlotOf(std::uint32_t id) const {
  for (const Descriptor& d : image_.descriptors) {
    if (d.id == id) return d.slot;
  }
  CHECK(false);
  return 0;
}

std::uint64_t Editor::DataEnd() const {
  std::uint64_t end = image_.header.data_offset;
  for (const Descriptor& d : image_.descriptors) end = std::max(end, d.offset + d.size);
  return std::max(end, image_.header.table_offset + image_.header.table_size);
}

std::int64_t Editor::Now() const {
  if (auto epoch = SourceDateEpoch()) return *epoch;
  bool reproducible = std::all_of(image_.header.uuid.begin(), image_.header.uuid.end(),
                                  [](std::uint8_t byte) { return byte == 0; });
  return reproducible ? image_.header.modified : static_cast<std::int64_t>(std::time(nullptr));
}

std::string Editor::ArchCodeNow() const { return std::string(ArchCode(image_.header.arch)); }

Result<> Editor::WriteHeader(std::string_view arch_code, std::uint64_t data_end, std::int64_t time) {
  std::string header(kHeaderSize, '\0');
  TRY(ReadExactlyAt(fd_.get(), std::as_writable_bytes(std::span(header.data(), header.size())), 0));
  arch_code.copy(header.data() + kArchAt, 2);
  StoreLe<std::int64_t>(header.data() + kModifiedAt, time);
  std::uint64_t used = 0;
  for (std::uint64_t slot = 0; slot < image_.header.descriptors_total; ++slot) {
    char mark;
    std::uint64_t at = image_.header.table_offset + slot * kDescriptorSize + kUsedIn;
    TRY(ReadExactlyAt(fd_.get(), std::as_writable_bytes(std::span(&mark, 1)), at));
    used += mark != 0;
  }
  StoreLe<std::int64_t>(header.data() + kFreeAt,
                        static_cast<std::int64_t>(image_.header.descriptors_total - used));
  StoreLe<std::int64_t>(header.data() + kDataSizeAt,
                        static_cast<std::int64_t>(data_end - image_.header.data_offset));
  TRY(WriteAt(fd_.get(), header, 0));
  TRY(Sync(fd_.get()));
  return Reload();
}

Result<std::uint32_t> Editor::AddFilled(NewObject object, const Fill& fill) {
  TRY(CheckNewObject(object));
  if (object.IsPrimarySystem()) {
    for (const Descriptor& d : image_.descriptors) {
      if (d.type == DataType::kPartition && d.part_type() == PartType::kPrimarySystem)
        return Fail(
            Code::kAlreadyExists, "object ", d.id,
            " is the primary system partition already; add it as `system`, then `slipway sif setprim`");
    }
  }
  std::uint64_t slot = TRY(FreeSlot()), end = DataEnd(), at = object.AlignedFrom(end);
  std::string digest;
  auto size = fill(at, digest);
  if (!size) {
    [[maybe_unused]] int cut = ::ftruncate(fd_.get(), static_cast<off_t>(end));
    return Failure(std::move(size).error());
  }
  if (object.type == DataType::kOciBlob || object.type == DataType::kOciRootIndex)
    object.extra = OciExtra(digest);
  TRY(Sync(fd_.get()));
  auto id = static_cast<std::uint32_t>(slot + 1);
  std::int64_t now = Now();
  TRY(WriteAt(fd_.get(), EncodeDescriptor(object, id, at, *size, at - end + *size, now),
              image_.header.table_offset + slot * kDescriptorSize));
  std::string arch = object.IsPrimarySystem() ? object.extra.substr(8, 2) : ArchCodeNow();
  TRY(WriteHeader(arch, at + *size, now));
  return id;
}

Result<std::uint32_t> Editor::Add(const NewObject& object, std::string_view bytes) {
  return AddFilled(object, [&](std::uint64_t at, std::string& digest) -> Result<std::uint64_t> {
    TRY(WriteAt(fd_.get(), bytes, at));
    digest = DigestOf(bytes);
    return bytes.size();
  });
}

Result<std::uint32_t> Editor::AddFrom(const NewObject& object, int source_fd) {
  return AddFilled(object, [&](std::uint64_t at, std::string& digest) -> Result<std::uint64_t> {
    std::string buffer(kCopyBytes, '\0');
    Sha256 hash;
    std::uint64_t size = 0;
    for (;;) {
      ssize_t n = ::read(source_fd, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("read");
      if (n == 0) break;
      std::string_view piece(buffer.data(), static_cast<std::size_t>(n));
      TRY(WriteAt(fd_.get(), piece, at + size));
      hash.Update(piece);
      size += piece.size();
    }
    digest = hash.Finish();
    return size;
  });
}

Result<> Editor::Delete(std::uint32_t id, OldBytes old_bytes, bool compact) {
  Descriptor gone = TRY(FindObject(image_, id));
  TRY(WriteAt(fd_.get(), std::string(kDescriptorSize, '\0'),
              image_.header.table_offset + gone.slot * kDescriptorSize));
  bool primary = gone.type == DataType::kPartition && gone.part_type() == PartType::kPrimarySystem;
  std::erase_if(image_.descriptors, [id](const Descriptor& d) { return d.id == id; });
  std::uint64_t end = compact ? DataEnd() : image_.header.data_offset + image_.header.data_size;
  TRY(WriteHeader(primary ? "00" : ArchCodeNow(), end, Now()));
  if (old_bytes == OldBytes::kZero) {
    // Another object may have been laid over it in a file that somebody else made.
    for (const Descriptor& d : image_.descriptors) {
      if (d.offset < gone.offset + gone.size && gone.offset < d.offset + d.size)
        return Fail(Code::kFailedPrecondition, "object ", id, " is deleted, but its bytes belong to object ",
                    d.id, ", too, and were left");
    }
    std::string zeros(kCopyBytes, '\0');
    for (std::uint64_t done = 0; done < gone.size; done += zeros.size()) {
      std::size_t piece = std::min<std::uint64_t>(zeros.size(), gone.size - done);
      TRY(WriteAt(fd_.get(), {zeros.data(), piece}, gone.offset + done));
    }
  }
  if (compact && ::ftruncate(fd_.get(), static_cast<off_t>(end)) < 0) return ErrnoFail("ftruncate");
  TRY(Sync(fd_.get()));
  return Reload();
}

Result<> Editor::SetPrimary(std::uint32_t id) {
  Descriptor chosen = TRY(FindObject(image_, id));
  if (chosen.type != DataType::kPartition)
    return Fail(Code::kInvalidArgument, "object ", id, " is no partition");
  if (chosen.part_type() == PartType::kPrimarySystem) return {};
  if (chosen.part_type() != PartType::kSystem)
    return Fail(Code::kInvalidArgument, "object ", id, " is a ", PartTypeName(chosen.part_type()),
                " partition; only a System partition can become the primary one");
  std::int64_t now = Now();
  auto mark = [&](const Descriptor& d, PartType type) -> Result<> {
    std::uint64_t at = image_.header.table_offset + d.slot * kDescriptorSize;
    char code[4], time[8];
    StoreLe<std::int32_t>(code, static_cast<std::int32_t>(type));
    StoreLe<std::int64_t>(time, now);
    TRY(WriteAt(fd_.get(), {code, sizeof code}, at + kExtraIn + 4));
    return WriteAt(fd_.get(), {time, sizeof time}, at + kModifiedIn);
  };
  // First none, then one: at no moment two, which nobody could read.
  for (const Descriptor& d : image_.descriptors) {
    if (d.type == DataType::kPartition && d.part_type() == PartType::kPrimarySystem)
      TRY(mark(d, PartType::kSystem));
  }
  TRY(mark(chosen, PartType::kPrimarySystem));
  return WriteHeader(ArchCode(chosen.arch()), image_.header.data_offset + image_.header.data_size, now);
}

}  // namespace slipway::sif
