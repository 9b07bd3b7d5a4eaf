// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/data_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "launcher/client/file_system.h"

namespace slipway {
namespace {

struct OpenedFile {
  UniqueFd file;
  std::uint64_t size = 0;
  std::string opening;
};
Result<OpenedFile> OpenRegular(const std::string& path) {
  OpenedFile opened;
  opened.file = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(opened.file.get(), &info) < 0) return ErrnoFail("stat", path);
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, path, ": not a file");
  opened.size = static_cast<std::uint64_t>(info.st_size);
  opened.opening = TRY(ReadOpening(opened.file.get(), opened.size));
  return opened;
}

// Of a file that is one file system and nothing else.
Result<ImageSource> WholeFile(const OpenedFile& opened, const std::string& path) {
  ImageSource source{.fd = 0, .size = opened.size};
  if (IsExt(opened.opening)) {
    source.kind = ImageKind::kFuse2fs;
    return source;
  }
  if (!opened.opening.starts_with("hsqs"))
    return Fail(Code::kInvalidArgument, path, ": is ", WhatItIs(opened.opening),
                "; a squashfs, an ext3 file system or a SIF with such a partition can be used here");
  source.kind = ImageKind::kSquashfuse;
  TRY(CheckSquashfs(opened.file.get(), 0, opened.size, Cat(path, ": it")));
  return source;
}

Result<SifPartition> DataPartition(const std::vector<SifPartition>& partitions, std::uint64_t id,
                                   const std::string& path) {
  const SifPartition *data = nullptr, *system = nullptr;
  std::string ids;
  for (const SifPartition& partition : partitions) {
    if (id != 0 && partition.id == id) return partition;
    ids += Cat(ids.empty() ? "" : ", ", partition.id);
    if (partition.kind == kSifPrimarySystem) system = &partition;
    if (partition.kind != kSifData || id != 0) continue;
    if (data != nullptr)
      return Fail(Code::kInvalidArgument, path,
                  ": the SIF has several data partitions; say which with id=N (", data->id, ", ",
                  partition.id, ", …)");
    data = &partition;
  }
  if (id != 0)
    return Fail(Code::kNotFound, path, ": the SIF has no partition with id=", id,
                ids.empty() ? " (and no other)" : Cat("; it has ", ids));
  if (data == nullptr) data = system;
  if (data == nullptr) return Fail(Code::kNotFound, path, ": the SIF has neither data nor a system to bind");
  return *data;
}

}  // namespace

Result<FileSystemFile> OpenDataFile(const std::string& path, std::uint64_t id) {
  OpenedFile opened = TRY(OpenRegular(path));
  FileSystemFile found;
  if (LooksLikeSif(opened.opening)) {
    auto partitions = TRY(ReadSifPartitions(opened.file.get(), opened.size, path));
    SifPartition partition = TRY(DataPartition(partitions, id, path));
    found.sources = {
        TRY(SourceOf(opened.file.get(), partition, Cat(path, ": the partition ", partition.id)))};
  } else {
    if (id != 0) return Fail(Code::kInvalidArgument, path, ": id=", id, " is for a SIF, which it is not");
    found.sources = {TRY(WholeFile(opened, path))};
  }
  found.file = std::move(opened.file);
  return found;
}

Result<FileSystemFile> OpenOverlayFile(const std::string& path) {
  OpenedFile opened = TRY(OpenRegular(path));
  FileSystemFile found;
  if (LooksLikeSif(opened.opening)) {
    for (const SifPartition& partition : TRY(ReadSifPartitions(opened.file.get(), opened.size, path))) {
      if (partition.kind != kSifOverlay) continue;
      found.sources.push_back(
          TRY(SourceOf(opened.file.get(), partition, Cat(path, ": the overlay partition ", partition.id))));
    }
    if (found.sources.empty()) return Fail(Code::kNotFound, path, ": the SIF has no overlay partition");
  } else {
    found.sources = {TRY(WholeFile(opened, path))};
  }
  found.file = std::move(opened.file);
  return found;
}

}  // namespace slipway
