// SPDX-License-Identifier: Apache-2.0
// What a SIF's numbers mean: data types, file systems, partitions, hashes, formats, architectures. The codes
// are the format's (apptainer/sif pkg/sif/sif.go); the names are those that `apptainer sif` prints. A code
// that nobody knows has the name "Unknown" ("unknown" for architectures).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace slipway::sif {

enum class DataType : std::int32_t {
  kDeffile = 0x4001,
  kEnvironment = 0x4002,
  kLabels = 0x4003,
  kPartition = 0x4004,
  kSignature = 0x4005,
  kGenericJson = 0x4006,
  kGeneric = 0x4007,
  kCryptoMessage = 0x4008,
  kSbom = 0x4009,
  kOciRootIndex = 0x400A,
  kOciBlob = 0x400B,
};
std::string_view DataTypeName(DataType type);  // as `apptainer sif list` spells it

enum class FsType : std::int32_t {
  kSquashfs = 1,
  kExt3 = 2,
  kArchive = 3,
  kRaw = 4,
  kEncryptedSquashfs = 5,
  kGocryptfs = 6
};
std::string_view FsTypeName(FsType type);
enum class PartType : std::int32_t { kSystem = 1, kPrimarySystem = 2, kData = 3, kOverlay = 4 };
std::string_view PartTypeName(PartType type);

// Of what a signature object signs; the signature's own hash, not that of the digests inside it.
enum class HashType : std::int32_t { kSha256 = 1, kSha384 = 2, kSha512 = 3, kBlake2s = 4, kBlake2b = 5 };
std::string_view HashTypeName(HashType type);

enum class CryptoFormat : std::int32_t { kOpenPgp = 1, kPem = 2 };
std::string_view CryptoFormatName(CryptoFormat format);
enum class CryptoMessage : std::int32_t { kClearSignature = 0x100, kRsaOaep = 0x200 };
std::string_view CryptoMessageName(CryptoMessage message);

enum class SbomFormat : std::int32_t {
  kCycloneDxJson = 1,
  kCycloneDxXml = 2,
  kGitHubJson = 3,
  kSpdxJson = 4,
  kSpdxRdf = 5,
  kSpdxTagValue = 6,
  kSpdxYaml = 7,
  kSyftJson = 8
};
std::string_view SbomFormatName(SbomFormat format);

// Words for the command line: "partition", "primsys", "squashfs" …; Apptainer's numbers (1…) are taken, too.
struct Word {
  std::string_view word;
  std::int32_t code;
};
std::span<const Word> DataTypeWords();
std::span<const Word> FsTypeWords();
std::span<const Word> PartTypeWords();
std::span<const Word> HashTypeWords();
std::span<const Word> SbomFormatWords();
std::span<const Word> ArchWords();  // "amd64"; the code is that of the format's two digits
// `number_base`: what a plain number is added to (0x4000 for data types).
std::optional<std::int32_t> FindWord(std::span<const Word> words, std::string_view text,
                                     std::int32_t number_base = 0);

// "02" ⇄ "amd64": Go's architecture names. Unknown codes and names give "unknown" and "00".
std::string_view ArchName(std::string_view code);
std::string_view ArchCode(std::string_view name);
std::string_view HostArch();  // of the machine this was built for

}  // namespace slipway::sif
