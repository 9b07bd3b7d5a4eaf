// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/object.h"

#include "imagestore/sif/layout.h"

namespace slipway::sif {

namespace {
constexpr std::uint32_t kAlignmentMax = 1 << 20;

std::string TwoCodes(std::int32_t first, std::int32_t second) {
  std::string extra(8, '\0');
  StoreLe<std::int32_t>(extra.data(), first);
  StoreLe<std::int32_t>(extra.data() + 4, second);
  return extra;
}
}  // namespace

std::uint64_t NewObject::AlignedFrom(std::uint64_t end) const {
  std::uint64_t to = alignment != 0 ? alignment : type == DataType::kPartition ? kPartitionAlignment : 1;
  return (end + to - 1) / to * to;
}

bool NewObject::IsPrimarySystem() const {
  return type == DataType::kPartition && extra.size() >= 8 &&
         LoadLe<std::int32_t>(extra.data() + 4) == static_cast<std::int32_t>(PartType::kPrimarySystem);
}

std::string PartitionExtra(FsType fs_type, PartType part_type, std::string_view arch) {
  std::string extra = TwoCodes(static_cast<std::int32_t>(fs_type), static_cast<std::int32_t>(part_type));
  extra.append(ArchCode(arch)).push_back('\0');
  return extra;
}

std::string SignatureExtra(HashType hash, std::string_view fingerprint) {
  std::string extra(4 + 256, '\0');
  StoreLe<std::int32_t>(extra.data(), static_cast<std::int32_t>(hash));
  fingerprint.copy(extra.data() + 4, 20);
  return extra;
}

std::string CryptoMessageExtra(CryptoFormat format, CryptoMessage message) {
  return TwoCodes(static_cast<std::int32_t>(format), static_cast<std::int32_t>(message));
}

std::string SbomExtra(SbomFormat format) {
  std::string extra(4, '\0');
  StoreLe<std::int32_t>(extra.data(), static_cast<std::int32_t>(format));
  return extra;
}

std::string OciExtra(std::string_view digest) { return std::string(digest); }

Result<> CheckNewObject(const NewObject& object) {
  if (object.name.size() > kNameSize)
    return Fail(Code::kInvalidArgument, "an object's name has at most ", kNameSize, " bytes");
  if (object.extra.size() > kExtraSize) return Fail(Code::kInvalidArgument, "too much is said of an object");
  if ((object.group & kGroupMask) != 0 || (object.link & kGroupMask) != 0)
    return Fail(Code::kInvalidArgument, "groups and links are numbers below 268435456");
  if (object.link_is_group && object.link == 0)
    return Fail(Code::kInvalidArgument, "there is no group 0 to link to");
  bool power_of_two = (object.alignment & (object.alignment - 1)) == 0;
  if (!power_of_two || object.alignment > kAlignmentMax)
    return Fail(Code::kInvalidArgument, "an alignment is a power of two of at most ", kAlignmentMax,
                " bytes");
  return {};
}

std::string EncodeDescriptor(const NewObject& object, std::uint32_t id, std::uint64_t offset,
                             std::uint64_t size, std::uint64_t size_with_padding, std::int64_t time) {
  std::string bytes(kDescriptorSize, '\0');
  char* raw = bytes.data();
  StoreLe<std::int32_t>(raw, static_cast<std::int32_t>(object.type));
  raw[kUsedIn] = 1;
  StoreLe<std::uint32_t>(raw + kIdIn, id);
  StoreLe<std::uint32_t>(raw + kGroupIn, kGroupMask | object.group);
  StoreLe<std::uint32_t>(raw + kLinkIn, object.link | (object.link_is_group ? kGroupMask : 0));
  StoreLe<std::int64_t>(raw + kOffsetIn, static_cast<std::int64_t>(offset));
  StoreLe<std::int64_t>(raw + kSizeIn, static_cast<std::int64_t>(size));
  StoreLe<std::int64_t>(raw + kPaddedIn, static_cast<std::int64_t>(size_with_padding));
  StoreLe<std::int64_t>(raw + kCreatedIn, time);
  StoreLe<std::int64_t>(raw + kModifiedIn, time);
  object.name.copy(raw + kNameIn, kNameSize);
  object.extra.copy(raw + kExtraIn, kExtraSize);
  return bytes;
}

}  // namespace slipway::sif
