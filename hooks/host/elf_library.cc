// SPDX-License-Identifier: Apache-2.0
#include "hooks/host/elf_library.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <map>
#include <span>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::size_t kHeadersMax = 256, kDynamicMax = 4096, kNeedsMax = 1024, kNameMax = 1024;

Failure Damaged(std::string_view what) {
  return Fail(Code::kInvalidArgument, "not a sound ELF file: ", what);
}

class Decoder {
 public:
  Decoder(std::uint64_t size, const ReadPiece& read) : size_(size), read_(read) {}

  Result<ElfLibrary> Decode() {
    Elf64_Ehdr header = TRY(At<Elf64_Ehdr>(0));
    library_.machine = header.e_machine;
    TRY(ReadHeaders(header));
    TRY(ReadDynamic());
    if (tags_.contains(DT_SONAME)) library_.soname = TRY(Name(tags_[DT_SONAME]));
    for (std::uint64_t name : needed_) library_.needed.push_back(TRY(Name(name)));
    if (tags_.contains(DT_VERNEED)) TRY(ReadVersions());
    return std::move(library_);
  }

 private:
  Result<std::string> Piece(std::uint64_t offset, std::size_t size) {
    if (size > size_ || offset > size_ - size) return Damaged("something lies behind its end");
    std::string bytes = TRY(read_(offset, size));
    if (bytes.size() != size) return Damaged("it became shorter");
    return bytes;
  }

  template <class T>
  Result<T> At(std::uint64_t offset) {
    std::string bytes = TRY(Piece(offset, sizeof(T)));
    T value{};
    bytes.copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }

  Result<> ReadHeaders(const Elf64_Ehdr& header) {
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > kHeadersMax)
      return Damaged("its program headers");
    std::string bytes = TRY(Piece(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr)));
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr segment;
      std::memcpy(&segment, bytes.data() + i * sizeof segment, sizeof segment);
      if (segment.p_type == PT_LOAD) loads_.push_back(segment);
      if (segment.p_type == PT_DYNAMIC) dynamic_ = segment;
    }
    if (dynamic_.p_type != PT_DYNAMIC) return Damaged("no dynamic section");
    return {};
  }

  // Addresses are of the loaded library; a segment says where in the file they come from.
  Result<std::uint64_t> OffsetOf(std::uint64_t address) {
    for (const Elf64_Phdr& segment : loads_) {
      if (address < segment.p_vaddr || address - segment.p_vaddr >= segment.p_filesz) continue;
      std::uint64_t offset = segment.p_offset, more = address - segment.p_vaddr;
      if (offset > size_ || more > size_ - offset) return Damaged("an address behind its end");
      return offset + more;
    }
    return Damaged("an address that no segment holds");
  }

  Result<> ReadDynamic() {
    std::size_t count = dynamic_.p_filesz / sizeof(Elf64_Dyn);
    if (count > kDynamicMax) return Damaged("a dynamic section of more than 4096 entries");
    std::string bytes = TRY(Piece(dynamic_.p_offset, count * sizeof(Elf64_Dyn)));
    for (std::size_t i = 0; i < count; ++i) {
      Elf64_Dyn entry;
      std::memcpy(&entry, bytes.data() + i * sizeof entry, sizeof entry);
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_NEEDED) {
        if (needed_.size() >= kNeedsMax) return Damaged("it needs more than 1024 libraries");
        needed_.push_back(entry.d_un.d_val);
      } else {
        tags_[entry.d_tag] = entry.d_un.d_val;
      }
    }
    if (!tags_.contains(DT_STRTAB) || !tags_.contains(DT_STRSZ)) return Damaged("no table of strings");
    strings_ = TRY(OffsetOf(tags_[DT_STRTAB]));
    strings_size_ = std::min<std::uint64_t>(tags_[DT_STRSZ], size_ - strings_);
    return {};
  }

  Result<std::string> Name(std::uint64_t at) {
    if (at >= strings_size_) return Damaged("a name behind the table of strings");
    std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(kNameMax, strings_size_ - at));
    std::string bytes = TRY(Piece(strings_ + at, most));
    auto end = bytes.find('\0');
    if (end == std::string::npos) return Damaged("a name without an end");
    bytes.resize(end);
    return bytes;
  }

  // A chain of libraries, each with a chain of versions.
  Result<> ReadVersions() {
    std::uint64_t offset = TRY(OffsetOf(tags_[DT_VERNEED]));
    for (std::size_t libraries = 0; libraries < kNeedsMax; ++libraries) {
      auto need = TRY(At<Elf64_Verneed>(offset));
      std::string file = TRY(Name(need.vn_file));
      std::uint64_t aux = offset + need.vn_aux;
      for (std::size_t i = 0; i < need.vn_cnt; ++i) {
        if (library_.versions.size() >= kNeedsMax) return Damaged("more than 1024 needed versions");
        auto version = TRY(At<Elf64_Vernaux>(aux));
        library_.versions.emplace_back(file, TRY(Name(version.vna_name)));
        if (version.vna_next == 0) break;
        aux += version.vna_next;
      }
      if (need.vn_next == 0) return {};
      offset += need.vn_next;
    }
    return Damaged("more than 1024 libraries whose versions it needs");
  }

  std::uint64_t size_;
  const ReadPiece& read_;
  ElfLibrary library_;
  std::vector<Elf64_Phdr> loads_;
  Elf64_Phdr dynamic_{};
  std::map<std::uint64_t, std::uint64_t> tags_;
  std::vector<std::uint64_t> needed_;
  std::uint64_t strings_ = 0, strings_size_ = 0;
};

std::vector<std::uint64_t> NumbersOf(std::string_view version) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& part : Split(version, '.')) {
    std::uint64_t number = 0;
    std::from_chars(part.data(), part.data() + part.size(), number);
    numbers.push_back(number);
  }
  while (!numbers.empty() && numbers.back() == 0) numbers.pop_back();
  return numbers;
}

}  // namespace

Result<ElfLibrary> ReadElfLibrary(std::uint64_t file_size, const ReadPiece& read) {
  constexpr auto kOurs = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if (file_size < sizeof(Elf64_Ehdr)) return Damaged("too short");
  std::string ident = TRY(read(0, EI_NIDENT));
  if (ident.size() != EI_NIDENT || std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0)
    return Damaged("its first bytes");
  if (ident[EI_DATA] != kOurs) return Damaged("of another byte order");
  if (ident[EI_CLASS] != ELFCLASS64) return Damaged("not of 64 bits");
  return Decoder(file_size, read).Decode();
}

Result<ElfLibrary> ReadElfLibrary(int fd) {
  std::uint64_t size = TRY(SizeOfFile(fd));
  return ReadElfLibrary(size, [fd](std::uint64_t offset, std::size_t bytes) -> Result<std::string> {
    std::string piece(bytes, '\0');
    TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(piece)), offset));
    return piece;
  });
}

Result<ElfLibrary> ReadElfLibrary(std::string_view bytes) {
  return ReadElfLibrary(bytes.size(), [bytes](std::uint64_t offset, std::size_t size) -> Result<std::string> {
    return std::string(bytes.substr(static_cast<std::size_t>(offset), size));
  });
}

std::uint16_t ThisElfMachine() {
#if defined(__x86_64__)
  return EM_X86_64;
#elif defined(__aarch64__)
  return EM_AARCH64;
#elif defined(__powerpc64__)
  return EM_PPC64;
#elif defined(__riscv)
  return EM_RISCV;
#else
  return EM_NONE;
#endif
}

bool OlderVersion(std::string_view a, std::string_view b) { return NumbersOf(a) < NumbersOf(b); }

std::string GlibcNeeded(const ElfLibrary& library) {
  std::string newest;
  for (const auto& [file, version] : library.versions) {
    // libm, libpthread and libdl are of the same C library and carry the same versions.
    if (!version.starts_with("GLIBC_") || version == "GLIBC_PRIVATE") continue;
    std::string number = version.substr(6);
    if (OlderVersion(newest, number)) newest = number;
  }
  return newest;
}

}  // namespace slipway
