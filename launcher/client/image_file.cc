// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

namespace slipway {
namespace {

constexpr std::size_t kOpeningBytes = 2048;
constexpr std::size_t kSuperblockBytes = 96;

std::uint64_t Little(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

Result<std::string> ReadAt(int fd, std::uint64_t offset, std::size_t bytes) {
  std::string buffer(bytes, '\0');
  TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(buffer.data(), buffer.size())), offset));
  return buffer;
}

// The superblock at `offset`: the magic, and the length that it claims within the `size` bytes there are.
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

// --- SIF: header of 128 bytes, a table of descriptors of 585 bytes; all integers little-endian.
constexpr std::size_t kSifHeaderBytes = 128, kSifDescriptorBytes = 585;
constexpr std::uint64_t kSifDescriptorsMax = 65536;
constexpr std::uint64_t kDataPartition = 0x4004, kPrimarySystem = 2;

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

struct Extent {
  std::uint64_t offset = 0, size = 0;
};
Result<Extent> PrimaryPartition(int fd, std::uint64_t file_size, const std::string& path) {
  if (file_size < kSifHeaderBytes)
    return Fail(Code::kInvalidArgument, path, ": a truncated SIF (", file_size, " bytes)");
  std::string header = TRY(ReadAt(fd, 0, kSifHeaderBytes));
  if (!header.substr(42).starts_with(std::string_view("01\0", 3)))
    return Fail(Code::kInvalidArgument, path, ": a SIF of a version that is not known, only 01 is");
  std::uint64_t total = Little(header, 0x58, 8), table = Little(header, 0x60, 8),
                table_bytes = Little(header, 0x68, 8);
  if (total > kSifDescriptorsMax || total * kSifDescriptorBytes != table_bytes)
    return Fail(Code::kInvalidArgument, path, ": the SIF's header contradicts itself (", total,
                " descriptors in ", table_bytes, " bytes)");
  if (table > file_size || table_bytes > file_size - table)
    return Fail(Code::kInvalidArgument, path,
                ": a truncated SIF: its table of descriptors runs past the end of the file");
  std::string descriptors = TRY(ReadAt(fd, table, table_bytes));
  std::optional<Extent> found;
  for (std::uint64_t i = 0; i < total; ++i) {
    std::string_view descriptor =
        std::string_view(descriptors).substr(i * kSifDescriptorBytes, kSifDescriptorBytes);
    bool used = descriptor[4] != 0;
    if (!used || Little(descriptor, 0, 4) != kDataPartition || Little(descriptor, 205, 4) != kPrimarySystem)
      continue;
    if (found) return Fail(Code::kInvalidArgument, path, ": the SIF has two primary system partitions");
    if (std::uint64_t type = Little(descriptor, 201, 4); type != 1)
      return Fail(Code::kUnimplemented, path, ": the SIF's system partition is ", FileSystemName(type));
    found = Extent{Little(descriptor, 17, 8), Little(descriptor, 25, 8)};
  }
  if (!found)
    return Fail(Code::kInvalidArgument, path,
                ": the SIF has no system partition to run (an OCI-SIF? convert it: `apptainer build new.sif "
                "old.sif`)");
  if (found->offset > file_size || found->size > file_size - found->offset) {
    return Fail(Code::kInvalidArgument, path, ": a truncated SIF: its system partition ends at byte ",
                found->offset + found->size, ", the file at ", file_size);
  }
  return *found;
}

// A guess at what somebody took for an image.
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

}  // namespace

Result<ImageFile> OpenImageFile(const std::string& path) {
  ImageFile image;
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return ErrnoFail("image", path);
  image.path = resolved;
  std::free(resolved);
  // Non-blocking: what was named might be a FIFO.
  image.file = TRY_CONTEXT(Open(image.path, O_RDONLY | O_NONBLOCK), "image");
  struct stat info {};
  if (::fstat(image.file.get(), &info) < 0) return ErrnoFail("image", path);
  if (S_ISDIR(info.st_mode)) {
    image.file.reset();
    image.what = "directory";
    image.source.kind = ImageKind::kDirectory;
    image.source.path = image.path;
    return image;
  }
  if (!S_ISREG(info.st_mode))
    return Fail(Code::kInvalidArgument, path,
                ": not a file or directory; a SIF, a squashfs or a directory would do");
  auto size = static_cast<std::uint64_t>(info.st_size);
  std::string opening = TRY(ReadAt(image.file.get(), 0, std::min<std::uint64_t>(size, kOpeningBytes)));
  image.source.kind = ImageKind::kSquashfuse;
  image.source.fd = 0;
  if (opening.size() >= 42 && opening.substr(32).starts_with(std::string_view("SIF_MAGIC\0", 10))) {
    image.what = "SIF";
    Extent partition = TRY(PrimaryPartition(image.file.get(), size, path));
    image.source.offset = partition.offset;
    image.source.size = partition.size;
  } else if (opening.starts_with("hsqs")) {
    image.what = "squashfs";
    image.source.size = size;
  } else {
    return Fail(Code::kInvalidArgument, path, ": is ", WhatItIs(opening));
  }
  TRY(CheckSquashfs(image.file.get(), image.source.offset, image.source.size,
                    Cat(path, image.what == "SIF" ? ": the system partition" : ": it")));
  return image;
}

}  // namespace slipway
