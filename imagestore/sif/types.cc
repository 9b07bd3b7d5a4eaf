// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/types.h"

#include <array>

#include "base/text/units.h"

namespace slipway::sif {

namespace {

// Name as printed, word as typed.
struct Entry {
  std::int32_t code;
  std::string_view name, word;
};

constexpr Entry kDataTypes[] = {
    {0x4001, "Def.FILE", "deffile"},    {0x4002, "Env.Vars", "envvar"},
    {0x4003, "JSON.Labels", "labels"},  {0x4004, "FS", "partition"},
    {0x4005, "Signature", "signature"}, {0x4006, "JSON.Generic", "genericjson"},
    {0x4007, "Generic/Raw", "generic"}, {0x4008, "Cryptographic Message", "cryptomessage"},
    {0x4009, "SBOM", "sbom"},           {0x400A, "OCI.RootIndex", "oci-rootindex"},
    {0x400B, "OCI.Blob", "oci-blob"},
};
constexpr Entry kFsTypes[] = {
    {1, "Squashfs", "squashfs"},
    {2, "Ext3", "ext3"},
    {3, "Archive", "archive"},
    {4, "Raw", "raw"},
    {5, "Encrypted squashfs", "encrypted-squashfs"},
    {6, "Gocryptfs squashfs", "gocryptfs-squashfs"},
};
constexpr Entry kPartTypes[] = {
    {1, "System", "system"},
    {2, "*System", "primsys"},
    {3, "Data", "data"},
    {4, "Overlay", "overlay"},
};
constexpr Entry kHashTypes[] = {
    {1, "SHA-256", "sha256"},          {2, "SHA-384", "sha384"},          {3, "SHA-512", "sha512"},
    {4, "BLAKE2s-256", "blake2s_256"}, {5, "BLAKE2b-256", "blake2b_256"},
};
constexpr Entry kCryptoFormats[] = {{1, "OpenPGP", "openpgp"}, {2, "PEM", "pem"}};
constexpr Entry kCryptoMessages[] = {{0x100, "Clear Signature", "clear"}, {0x200, "RSA-OAEP", "rsa-oaep"}};
constexpr Entry kSbomFormats[] = {
    {1, "cyclonedx-json", "cyclonedx-json"},
    {2, "cyclonedx-xml", "cyclonedx-xml"},
    {3, "github-json", "github-json"},
    {4, "spdx-json", "spdx-json"},
    {5, "spdx-rdf", "spdx-rdf"},
    {6, "spdx-tag-value", "spdx-tag-value"},
    {7, "spdx-yaml", "spdx-yaml"},
    {8, "syft-json", "syft-json"},
};

struct ArchEntry {
  std::string_view code, name;
};
constexpr ArchEntry kArchs[] = {
    {"00", "unknown"},  {"01", "386"},     {"02", "amd64"},   {"03", "arm"},     {"04", "arm64"},
    {"05", "ppc64"},    {"06", "ppc64le"}, {"07", "mips"},    {"08", "mipsle"},  {"09", "mips64"},
    {"10", "mips64le"}, {"11", "s390x"},   {"12", "riscv64"}, {"13", "loong64"},
};

template <class E>
std::string_view NameIn(std::span<const Entry> entries, E value) {
  for (const Entry& entry : entries) {
    if (entry.code == static_cast<std::int32_t>(value)) return entry.name;
  }
  return "Unknown";
}

template <std::size_t N>
constexpr std::array<Word, N> WordsOf(const Entry (&entries)[N]) {
  std::array<Word, N> words{};
  for (std::size_t i = 0; i < N; ++i) words[i] = {entries[i].word, entries[i].code};
  return words;
}

}  // namespace

std::string_view DataTypeName(DataType type) { return NameIn(kDataTypes, type); }
std::string_view FsTypeName(FsType type) { return NameIn(kFsTypes, type); }
std::string_view PartTypeName(PartType type) { return NameIn(kPartTypes, type); }
std::string_view HashTypeName(HashType type) { return NameIn(kHashTypes, type); }
std::string_view CryptoFormatName(CryptoFormat format) { return NameIn(kCryptoFormats, format); }
std::string_view CryptoMessageName(CryptoMessage message) { return NameIn(kCryptoMessages, message); }
std::string_view SbomFormatName(SbomFormat format) { return NameIn(kSbomFormats, format); }

std::span<const Word> DataTypeWords() {
  static constexpr auto words = WordsOf(kDataTypes);
  return words;
}
std::span<const Word> FsTypeWords() {
  static constexpr auto words = WordsOf(kFsTypes);
  return words;
}
std::span<const Word> PartTypeWords() {
  static constexpr auto words = WordsOf(kPartTypes);
  return words;
}
std::span<const Word> HashTypeWords() {
  static constexpr auto words = WordsOf(kHashTypes);
  return words;
}
std::span<const Word> SbomFormatWords() {
  static constexpr auto words = WordsOf(kSbomFormats);
  return words;
}
std::span<const Word> ArchWords() {
  static constexpr auto words = [] {
    std::array<Word, std::size(kArchs) - 1> made{};
    for (std::size_t i = 1; i < std::size(kArchs); ++i)
      made[i - 1] = {kArchs[i].name, static_cast<std::int32_t>(i)};
    return made;
  }();
  return words;
}

std::optional<std::int32_t> FindWord(std::span<const Word> words, std::string_view text,
                                     std::int32_t number_base) {
  for (const Word& word : words) {
    if (word.word == text) return word.code;
  }
  auto number = ParseNumber(text, 1, 0xFFF);
  if (!number) return std::nullopt;
  for (const Word& word : words) {
    if (word.code == number_base + static_cast<std::int32_t>(*number)) return word.code;
  }
  return std::nullopt;
}

std::string_view ArchName(std::string_view code) {
  for (const ArchEntry& entry : kArchs) {
    if (entry.code == code) return entry.name;
  }
  return "unknown";
}

std::string_view ArchCode(std::string_view name) {
  for (const ArchEntry& entry : kArchs) {
    if (entry.name == name) return entry.code;
  }
  return "00";
}

std::string_view HostArch() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return "ppc64le";
#elif defined(__riscv) && __riscv_xlen == 64
  return "riscv64";
#elif defined(__s390x__)
  return "s390x";
#else
  return "unknown";
#endif
}

}  // namespace slipway::sif
