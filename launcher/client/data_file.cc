// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/data_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "launcher/client/ext_lock.h"
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

// The same file, whatever its name leads to now.
Result<> OpenForWriting(OpenedFile& opened, const std::string& path) {
  auto file = Open(Cat("/proc/self/fd/", opened.file.get()), O_RDWR);
  if (!file) {
    return Fail(Code::kPermissionDenied, path, ": cannot be written to (",
                ::strerrordesc_np(file.error().sys_errno), "); use it read-only (", path, ":ro)");
  }
  opened.file = std::move(*file);
  return {};
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

Result<std::vector<ImageSource>> Overlays(const OpenedFile& opened, const std::string& path) {
  std::vector<ImageSource> sources;
  if (!LooksLikeSif(opened.opening)) {
    sources.push_back(TRY(WholeFile(opened, path)));
    return sources;
  }
  for (const SifPartition& partition : TRY(ReadSifPartitions(opened.file.get(), opened.size, path))) {
    if (partition.kind != kSifOverlay) continue;
    sources.push_back(
        TRY(SourceOf(opened.file.get(), partition, Cat(path, ": the overlay partition ", partition.id))));
  }
  if (sources.empty()) return Fail(Code::kNotFound, path, ": the SIF has no overlay partition");
  return sources;
}

bool IsFuse2fs(const ImageSource& source) { return source.kind == ImageKind::kFuse2fs; }

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
    if (IsExt(opened.opening)) TRY(LockExt(opened.file.get(), path, ExtLock::kReaders));
  }
  found.file = std::move(opened.file);
  return found;
}

Result<FileSystemFile> OpenOverlayFile(const std::string& path, bool write) {
  OpenedFile opened = TRY(OpenRegular(path));
  FileSystemFile found;
  found.sources = TRY(Overlays(opened, path));
  if (LooksLikeSif(opened.opening)) {
    if (write && std::any_of(found.sources.begin(), found.sources.end(), IsFuse2fs))
      return Fail(
          Code::kUnimplemented, path,
          ": a SIF is not written to here, so the ext3 overlay in it can only be read: add :ro, or keep "
          "changes in an ext3 file or a directory");
  } else if (IsExt(opened.opening)) {
    if (write) TRY(OpenForWriting(opened, path));
    TRY(LockExt(opened.file.get(), path, write ? ExtLock::kWriter : ExtLock::kReaders));
    found.writable = write;
  }
  found.file = std::move(opened.file);
  return found;
}

bool HoldsExtOverlay(const std::string& path) {
  auto opened = OpenRegular(path);
  if (!opened) return false;
  auto sources = Overlays(*opened, path);
  return sources && std::any_of(sources->begin(), sources->end(), IsFuse2fs);
}

}  // namespace slipway
