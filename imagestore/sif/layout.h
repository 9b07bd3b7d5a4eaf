// SPDX-License-Identifier: Apache-2.0
// Where SIF's fields lie: all little-endian, packed without padding, as Go's encoding/binary writes them.
// Reader and writer share this one table so that they cannot disagree.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace slipway::sif {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are copied as they lie in memory");

inline constexpr char kMagic[] = "SIF_MAGIC";  // with its NUL
inline constexpr char kVersion[] = "01";       // with its NUL

// Header: 128 bytes at 0.
inline constexpr int kHeaderSize = 128;
inline constexpr int kLaunchSize = 32;
inline constexpr int kMagicAt = 0x20, kMagicSize = 10;
inline constexpr int kVersionAt = 0x2A, kVersionSize = 3;
inline constexpr int kArchAt = 0x2D, kArchSize = 3;
inline constexpr int kUuidAt = 0x30, kUuidSize = 16;
inline constexpr int kCreatedAt = 0x40, kModifiedAt = 0x48;
inline constexpr int kFreeAt = 0x50, kTotalAt = 0x58;
inline constexpr int kTableOffsetAt = 0x60, kTableSizeAt = 0x68;
inline constexpr int kDataOffsetAt = 0x70, kDataSizeAt = 0x78;

// Descriptor: 585 bytes each.
inline constexpr int kDescriptorSize = 585;
inline constexpr int kUsedIn = 4, kIdIn = 5, kGroupIn = 9, kLinkIn = 13;
inline constexpr int kOffsetIn = 17, kSizeIn = 25, kPaddedIn = 33;
inline constexpr int kCreatedIn = 41, kModifiedIn = 49, kUidIn = 57, kGidIn = 65;
inline constexpr int kNameIn = 73, kNameSize = 128;
inline constexpr int kExtraIn = 201, kExtraSize = 384;

inline constexpr std::uint32_t kGroupMask = 0xF0000000;
// Nobody's file has more; it bounds what a lying header makes us read.
inline constexpr std::int64_t kDescriptorsMax = 65536;

// What a new file gets.
inline constexpr int kNewTableOffset = 4096, kNewDescriptors = 48;
inline constexpr int kNewDataOffset = kNewTableOffset + kNewDescriptors * kDescriptorSize;
inline constexpr int kPartitionAlignment = 4096;
inline constexpr char kLaunch[] = "#!/usr/bin/env run-singularity\n";

template <class N>
N LoadLe(const char* at) {
  N value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <class N>
void StoreLe(char* at, std::type_identity_t<N> value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace slipway::sif
