// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/sif.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/crypto/crypto.h"
#include "base/text/units.h"
#include "imagestore/sif/layout.h"

namespace slipway::sif {

namespace {

// A NUL-bounded field: the text before the first NUL, or nothing when there is none within the field.
std::optional<std::string> TextField(std::string_view field) {
  std::size_t end = field.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(field.substr(0, end));
}

template <class... Pieces>
Failure Bad(const Pieces&... pieces) {
  return Fail(Code::kInvalidArgument, "not a usable SIF: ", pieces...);
}

}  // namespace

FsType Descriptor::fs_type() const { return static_cast<FsType>(LoadLe<std::int32_t>(extra.data())); }
PartType Descriptor::part_type() const {
  return static_cast<PartType>(LoadLe<std::int32_t>(extra.data() + 4));
}
std::string Descriptor::arch() const {
  return std::string(ArchName(TextField({extra.data() + 8, kArchSize}).value_or("")));
}

HashType Descriptor::hash_type() const { return static_cast<HashType>(LoadLe<std::int32_t>(extra.data())); }

std::string Descriptor::fingerprint() const {
  std::string_view raw(extra.data() + 4, 20);
  if (raw.find_first_not_of('\0') == std::string_view::npos) return {};
  std::string hex = Hex(raw);
  std::transform(hex.begin(), hex.end(), hex.begin(),
                 [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  return hex;
}

CryptoFormat Descriptor::crypto_format() const {
  return static_cast<CryptoFormat>(LoadLe<std::int32_t>(extra.data()));
}
CryptoMessage Descriptor::crypto_message() const {
  return static_cast<CryptoMessage>(LoadLe<std::int32_t>(extra.data() + 4));
}
SbomFormat Descriptor::sbom_format() const {
  return static_cast<SbomFormat>(LoadLe<std::int32_t>(extra.data()));
}

std::string Descriptor::oci_digest() const {
  std::string text = TextField({extra.data(), kExtraSize}).value_or("");
  return IsDigest(text) ? text : std::string();
}

std::optional<std::int64_t> SourceDateEpoch() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr) return std::nullopt;
  auto number = ParseNumber(text, 0, std::uint64_t{1} << 40);
  return number ? std::optional<std::int64_t>(static_cast<std::int64_t>(*number)) : std::nullopt;
}

namespace {

// Any offset and length that the file states. Subtraction only: a sum could wrap.
bool Fits(std::int64_t offset, std::int64_t size, std::uint64_t file_size) {
  if (offset < 0 || size < 0) return false;
  auto o = static_cast<std::uint64_t>(offset), s = static_cast<std::uint64_t>(size);
  return o <= file_size && s <= file_size - o;
}

Result<Header> ReadHeader(int fd, std::uint64_t file_size) {
  char raw[kHeaderSize];
  if (file_size < sizeof raw) return Bad("it has ", file_size, " bytes, the header alone has ", kHeaderSize);
  TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(raw)), 0));
  if (std::memcmp(raw + kMagicAt, kMagic, kMagicSize) != 0)
    return Bad("the header has no magic \"SIF_MAGIC\"");
  if (std::memcmp(raw + kVersionAt, kVersion, kVersionSize) != 0) {
    return Bad("the header's version is not 01");
  }
  Header header;
  header.launch = TextField({raw, kLaunchSize}).value_or(std::string(raw, kLaunchSize));
  header.arch = ArchName(TextField({raw + kArchAt, kArchSize}).value_or(""));
  std::memcpy(header.uuid.data(), raw + kUuidAt, header.uuid.size());
  header.created = LoadLe<std::int64_t>(raw + kCreatedAt);
  header.modified = LoadLe<std::int64_t>(raw + kModifiedAt);
  auto free = LoadLe<std::int64_t>(raw + kFreeAt), total = LoadLe<std::int64_t>(raw + kTotalAt);
  auto table_offset = LoadLe<std::int64_t>(raw + kTableOffsetAt),
       table_size = LoadLe<std::int64_t>(raw + kTableSizeAt);
  auto data_offset = LoadLe<std::int64_t>(raw + kDataOffsetAt),
       data_size = LoadLe<std::int64_t>(raw + kDataSizeAt);
  if (total < 0 || total > kDescriptorsMax)
    return Bad("the header states ", total, " descriptors (limit ", kDescriptorsMax, ")");
  if (free < 0 || free > total) return Bad("the header states ", free, " free descriptors of ", total);
  if (table_size != total * kDescriptorSize) {
    return Bad("the header's table size is ", table_size, ", but ", total, " descriptors take ",
               total * kDescriptorSize);
  }
  if (table_offset < kHeaderSize)
    return Bad("the header's table offset ", table_offset, " lies in the header");
  if (!Fits(table_offset, table_size, file_size)) {
    return Bad("the header's descriptor table (offset ", table_offset, ", ", table_size,
               " bytes) runs past the end of the file (", file_size, " bytes)");
  }
  if (!Fits(data_offset, data_size, file_size)) {
    return Bad("the header's data (offset ", data_offset, ", ", data_size,
               " bytes) runs past the end of the file (", file_size, " bytes)");
  }
  header.descriptors_free = static_cast<std::uint64_t>(free);
  header.descriptors_total = static_cast<std::uint64_t>(total);
  header.table_offset = static_cast<std::uint64_t>(table_offset);
  header.table_size = static_cast<std::uint64_t>(table_size);
  header.data_offset = static_cast<std::uint64_t>(data_offset);
  header.data_size = static_cast<std::uint64_t>(data_size);
  return header;
}

Result<Descriptor> ReadDescriptor(const char* raw, std::uint64_t file_size) {
  Descriptor descriptor;
  descriptor.type = static_cast<DataType>(LoadLe<std::int32_t>(raw));
  descriptor.id = LoadLe<std::uint32_t>(raw + kIdIn);
  auto what = Cat("object ", descriptor.id, "'s ");
  if (descriptor.id == 0) return Bad("a descriptor has the id 0");
  std::uint32_t group = LoadLe<std::uint32_t>(raw + kGroupIn);
  if ((group & kGroupMask) != kGroupMask) return Bad(what, "group field lacks the group mark");
  descriptor.group = group & ~kGroupMask;
  std::uint32_t link = LoadLe<std::uint32_t>(raw + kLinkIn);
  descriptor.link_is_group = (link & kGroupMask) == kGroupMask;
  descriptor.link = descriptor.link_is_group ? link & ~kGroupMask : link;
  auto offset = LoadLe<std::int64_t>(raw + kOffsetIn), size = LoadLe<std::int64_t>(raw + kSizeIn);
  auto padded = LoadLe<std::int64_t>(raw + kPaddedIn);
  if (!Fits(offset, size, file_size)) {
    return Bad(what, "bytes (offset ", offset, ", size ", size, ") run past the end of the file (", file_size,
               " bytes)");
  }
  if (offset < kHeaderSize) return Bad(what, "offset ", offset, " lies in the header");
  if (padded < 0 || static_cast<std::uint64_t>(padded) > file_size)
    return Bad(what, "size with padding is ", padded);
  descriptor.offset = static_cast<std::uint64_t>(offset);
  descriptor.size = static_cast<std::uint64_t>(size);
  descriptor.size_with_padding = static_cast<std::uint64_t>(padded);
  descriptor.created = LoadLe<std::int64_t>(raw + kCreatedIn);
  descriptor.modified = LoadLe<std::int64_t>(raw + kModifiedIn);
  descriptor.uid = LoadLe<std::int64_t>(raw + kUidIn);
  descriptor.gid = LoadLe<std::int64_t>(raw + kGidIn);
  auto name = TextField({raw + kNameIn, kNameSize});
  // A name of all 128 bytes is what some writers leave; it is bounded by the field then.
  descriptor.name = name ? *name : std::string(raw + kNameIn, kNameSize);
  std::memcpy(descriptor.extra.data(), raw + kExtraIn, kExtraSize);
  return descriptor;
}

Result<> CheckTogether(const Image& image) {
  std::set<std::uint32_t> ids;
  int primaries = 0;
  std::uint64_t table_end = image.header.table_offset + image.header.table_size;
  for (const Descriptor& d : image.descriptors) {
    if (!ids.insert(d.id).second) return Bad("two objects have the id ", d.id);
    if (d.type == DataType::kPartition && d.part_type() == PartType::kPrimarySystem && ++primaries > 1) {
      return Bad("it has more than one primary system partition");
    }
    if (d.size > 0 && d.offset < table_end && d.offset + d.size > image.header.table_offset) {
      return Bad("object ", d.id, "'s bytes overlap the descriptor table");
    }
  }
  return {};
}

}  // namespace

bool LooksLikeSif(int fd) {
  char magic[kMagicSize];
  return ReadExactlyAt(fd, std::as_writable_bytes(std::span(magic)), kMagicAt) &&
         std::memcmp(magic, kMagic, kMagicSize) == 0;
}

Result<Image> Read(int fd) {
  off_t end = ::lseek(fd, 0, SEEK_END);
  if (end < 0) return ErrnoFail("lseek");
  Image image;
  image.file_size = static_cast<std::uint64_t>(end);
  image.header = TRY(ReadHeader(fd, image.file_size));
  std::string table(image.header.table_size, '\0');
  TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(table)), image.header.table_offset));
  for (std::uint64_t i = 0; i < image.header.descriptors_total; ++i) {
    const char* raw = table.data() + i * kDescriptorSize;
    std::uint8_t used = static_cast<std::uint8_t>(raw[kUsedIn]);
    if (used > 1) return Bad("descriptor ", i, "'s used mark is ", unsigned{used});
    if (used == 0) continue;
    image.descriptors.push_back(TRY(ReadDescriptor(raw, image.file_size)));
    image.descriptors.back().slot = i;
  }
  TRY(CheckTogether(image));
  // The table says it; the header's number is a hint that an interrupted editor may not have written yet.
  image.header.descriptors_free = image.header.descriptors_total - image.descriptors.size();
  return image;
}

Result<Descriptor> PrimarySystemPartition(const Image& image, int fd) {
  auto found = std::find_if(image.descriptors.begin(), image.descriptors.end(), [](const Descriptor& d) {
    return d.type == DataType::kPartition && d.part_type() == PartType::kPrimarySystem;
  });
  if (found == image.descriptors.end()) return Bad("it has no primary system partition");
  if (found->fs_type() == FsType::kEncryptedSquashfs || found->fs_type() == FsType::kGocryptfs) {
    return Fail(
        Code::kUnimplemented,
        "the SIF's system partition is encrypted; decrypt it first (encrypted images are not supported)");
  }
  if (found->fs_type() != FsType::kSquashfs) {
    return Fail(Code::kUnimplemented, "the SIF's system partition is ", FsTypeName(found->fs_type()),
                ", not squashfs");
  }
  char magic[4];
  if (found->size < sizeof magic) return Bad("the system partition has only ", found->size, " bytes");
  TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(magic)), found->offset));
  if (std::memcmp(magic, "hsqs", 4) != 0)
    return Bad("the system partition does not begin with squashfs' magic");
  return *found;
}

Result<std::string> ReadObject(int fd, const Descriptor& descriptor, std::size_t bytes_max) {
  if (descriptor.size > bytes_max) {
    return Fail(Code::kOutOfRange, "object ", descriptor.id, " has ", descriptor.size, " bytes; at most ",
                bytes_max, " are read");
  }
  std::string bytes(descriptor.size, '\0');
  TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(bytes)), descriptor.offset));
  return bytes;
}

Result<Descriptor> FindObject(const Image& image, std::uint32_t id) {
  std::string known;
  for (const Descriptor& d : image.descriptors) {
    if (d.id == id) return d;
    if (known.size() < 200) known += Cat(known.empty() ? "" : ", ", d.id);
  }
  return Fail(Code::kNotFound, "there is no object ", id,
              known.empty() ? "; the file holds none" : "; there are ", known);
}

}  // namespace slipway::sif
