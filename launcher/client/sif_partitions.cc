// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/sif_partitions.h"

#include "launcher/client/file_bytes.h"

namespace slipway {
namespace {

// Header of 128 bytes, a table of descriptors of 585 bytes; all integers little-endian.
constexpr std::size_t kHeaderBytes = 128, kDescriptorBytes = 585;
constexpr std::uint64_t kDescriptorsMax = 65536;
constexpr std::uint64_t kPartition = 0x4004;

std::string NameOf(const SifPartition& partition) {
  if (partition.kind == kSifPrimarySystem) return "system partition";
  return Cat("partition ", partition.id);
}

}  // namespace

bool LooksLikeSif(std::string_view opening) {
  return opening.size() >= 42 && opening.substr(32).starts_with(std::string_view("SIF_MAGIC\0", 10));
}

Result<std::vector<SifPartition>> ReadSifPartitions(int fd, std::uint64_t file_size,
                                                    const std::string& path) {
  if (file_size < kHeaderBytes)
    return Fail(Code::kInvalidArgument, path, ": a truncated SIF (", file_size, " bytes)");
  std::string header = TRY(ReadAt(fd, 0, kHeaderBytes));
  if (!header.substr(42).starts_with(std::string_view("01\0", 3)))
    return Fail(Code::kInvalidArgument, path, ": a SIF of a version that is not known, only 01 is");
  std::uint64_t total = Little(header, 0x58, 8), table = Little(header, 0x60, 8),
                table_bytes = Little(header, 0x68, 8);
  if (total > kDescriptorsMax || total * kDescriptorBytes != table_bytes)
    return Fail(Code::kInvalidArgument, path, ": the SIF's header contradicts itself (", total,
                " descriptors in ", table_bytes, " bytes)");
  if (table > file_size || table_bytes > file_size - table)
    return Fail(Code::kInvalidArgument, path,
                ": a truncated SIF: its table of descriptors runs past the end of the file");
  std::string descriptors = TRY(ReadAt(fd, table, table_bytes));
  std::vector<SifPartition> partitions;
  for (std::uint64_t i = 0; i < total; ++i) {
    std::string_view descriptor =
        std::string_view(descriptors).substr(i * kDescriptorBytes, kDescriptorBytes);
    bool used = descriptor[4] != 0;
    if (!used || Little(descriptor, 0, 4) != kPartition) continue;
    SifPartition partition{.id = Little(descriptor, 5, 4),
                           .file_system = Little(descriptor, 201, 4),
                           .kind = Little(descriptor, 205, 4),
                           .group = Little(descriptor, 9, 4),
                           .offset = Little(descriptor, 17, 8),
                           .size = Little(descriptor, 25, 8)};
    if (partition.offset > file_size || partition.size > file_size - partition.offset) {
      return Fail(Code::kInvalidArgument, path, ": a truncated SIF: its ", NameOf(partition),
                  " ends at byte ", partition.offset + partition.size, ", the file at ", file_size);
    }
    partitions.push_back(partition);
  }
  return partitions;
}

}  // namespace slipway
