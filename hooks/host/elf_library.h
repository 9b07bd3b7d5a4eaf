// SPDX-License-Identifier: Apache-2.0
// A driver's library that is put into a container must be found there by its soname, and must find a C
// library that is new enough. Both are written in the file: in its dynamic section.
//
// Any thread. Every offset and count of the file is checked against its size and our bounds; the file is
// read in pieces, because drivers' libraries have up to 200 MB. Source: the ELF specification, and the Linux
// Standard Base's chapter on symbol versions (.gnu.version_r).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"

namespace slipway {

struct ElfLibrary {
  std::uint16_t machine = 0;        // EM_X86_64, …
  std::string soname;               // empty: none
  std::vector<std::string> needed;  // sonames
  // Versions of symbols that other libraries must have: {"libc.so.6", "GLIBC_2.34"}.
  std::vector<std::pair<std::string, std::string>> versions;
};

// `size` bytes at `offset`, which lie within the file.
using ReadPiece = std::function<Result<std::string>(std::uint64_t offset, std::size_t size)>;
// kInvalidArgument: no ELF file of 64 bits and this byte order with a dynamic section, or a damaged one.
Result<ElfLibrary> ReadElfLibrary(std::uint64_t file_size, const ReadPiece& read);
Result<ElfLibrary> ReadElfLibrary(int fd);  // borrowed
Result<ElfLibrary> ReadElfLibrary(std::string_view bytes);

// What programs of this machine are made for, as in ElfLibrary.
std::uint16_t ThisElfMachine();

// "2.34" of the newest GLIBC_2.34 that it needs of the C library; empty: it needs none.
std::string GlibcNeeded(const ElfLibrary& library);
// By numbers: 2.9 < 2.36. Parts that are no numbers count as 0.
bool OlderVersion(std::string_view a, std::string_view b);

}  // namespace slipway
