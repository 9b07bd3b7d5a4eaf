// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/file_system.h"

#include <algorithm>

#include "launcher/client/file_bytes.h"

namespace slipway {
namespace {

constexpr std::size_t kOpeningBytes = 2048;
constexpr std::size_t kSuperblockBytes = 96;

}  // namespace

Result<std::string> ReadOpening(int fd, std::uint64_t size) {
  return ReadAt(fd, 0, std::min<std::uint64_t>(size, kOpeningBytes));
}

bool IsExt(std::string_view opening) {
  return opening.size() >= 1082 && opening.substr(1080, 2) == "\x53\xef";
}

Result<> CheckSquashfs(int fd, std::uint64_t offset, std::uint64_t size, const std::string& where) {
  if (size < kSuperblockBytes) return Fail(Code::kInvalidArgument, where, " is truncated: ", size, " bytes");
  std::string superblock = TRY(ReadAt(fd, offset, kSuperblockBytes));
  if (!superblock.starts_with("hsqs"))
    return Fail(Code::kInvalidArgument, where, " does not begin with a squashfs superblock");
  std::uint64_t major = Little(superblock, 28, 2), used = Little(superblock, 40, 8);
  if (major != 4)
    return Fail(Code::kInvalidArgument, where, " is squashfs version ", major, ", only 4 is known");
  if (used > size || used < kSuperblockBytes)
    return Fail(Code::kInvalidArgument, where, " is truncated: the squashfs says it has ", used,
                " bytes, there are ", size);
  return {};
}

std::string FileSystemName(std::uint64_t type) {
  switch (type) {
    case 2:
      return "an ext3 file system; convert it: unpack it to a directory, or `apptainer build new.sif "
             "old.sif`";
    case 5:
      return "encrypted; decrypt it first: `apptainer build --sandbox DIR FILE`";
    case 6:
      return "encrypted (gocryptfs); decrypt it first: `apptainer build --sandbox DIR FILE`";
    default:
      return Cat("of an unknown type (", type, ")");
  }
}

Result<ImageSource> SourceOf(int fd, const SifPartition& partition, const std::string& where) {
  ImageSource source{.fd = 0, .offset = partition.offset, .size = partition.size};
  if (partition.file_system == kSifExt3) {
    source.kind = ImageKind::kFuse2fs;
    return source;
  }
  if (partition.file_system != kSifSquashfs)
    return Fail(Code::kUnimplemented, where, " is ", FileSystemName(partition.file_system));
  source.kind = ImageKind::kSquashfuse;
  TRY(CheckSquashfs(fd, partition.offset, partition.size, where));
  return source;
}

std::string WhatItIs(std::string_view opening) {
  auto at = [&](std::size_t offset, std::string_view magic) {
    return opening.size() >= offset + magic.size() && opening.substr(offset, magic.size()) == magic;
  };
  if (opening.empty()) return "an empty file";
  if (at(0,
         "\x7f"
         "ELF"))
    return "a program (ELF), not an image";
  if (at(0, "\x1f\x8b"))
    return "compressed with gzip; unpack a root file system from it into a directory and name that";
  if (at(0, "\x28\xb5\x2f\xfd"))
    return "compressed with zstd; unpack a root file system from it into a directory and name that";
  if (at(257, "ustar"))
    return "a tar archive; unpack a root file system from it into a directory and name that";
  if (at(1080, "\x53\xef")) return "an ext2/3/4 file system; a SIF, a squashfs or a directory would do";
  if (at(0, "Bootstrap:") || at(0, "bootstrap:"))
    return "a recipe; build it first: `slipway build OUT.sif FILE`";
  if (at(0, "#!")) return "a script, not an image";
  return "neither a SIF, nor a squashfs, nor a directory";
}

}  // namespace slipway
