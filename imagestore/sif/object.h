// SPDX-License-Identifier: Apache-2.0
// What is said of an object when it is put into a SIF: type, group, link, alignment and the fields that only
// its type has. Writer and Editor take it; Encode makes the 585 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result/result.h"
#include "imagestore/sif/types.h"

namespace slipway::sif {

struct NewObject {
  DataType type = DataType::kGeneric;
  std::string name;         // at most 128 bytes
  std::uint32_t group = 1;  // 0: in none
  std::uint32_t link = 0;   // 0: none; an object's id, or a group when link_is_group
  bool link_is_group = false;
  std::uint32_t alignment = 0;  // bytes, a power of two; 0: 4096 for partitions, none for others
  std::string extra;            // at most 384 bytes; made by the functions below

  std::uint64_t AlignedFrom(std::uint64_t end) const;  // where it begins when `end` is the end of the data
  bool IsPrimarySystem() const;
};

std::string PartitionExtra(FsType fs_type, PartType part_type, std::string_view arch);
// `fingerprint`: 20 raw bytes of a PGP key, or empty.
std::string SignatureExtra(HashType hash, std::string_view fingerprint);
std::string CryptoMessageExtra(CryptoFormat format, CryptoMessage message);
std::string SbomExtra(SbomFormat format);
// Of OCI blobs and root indexes: "sha256:…".
std::string OciExtra(std::string_view digest);

// kInvalidArgument for a name, group, link or alignment that the format has no room for.
Result<> CheckNewObject(const NewObject& object);
// The descriptor; `time` in seconds since 1970. The object was checked.
std::string EncodeDescriptor(const NewObject& object, std::uint32_t id, std::uint64_t offset,
                             std::uint64_t size, std::uint64_t size_with_padding, std::int64_t time);

}  // namespace slipway::sif
