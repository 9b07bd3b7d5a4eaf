// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>

#include "launcher/client/file_system.h"

namespace slipway {
namespace {

Result<> TakePartitions(ImageFile& image, std::uint64_t size, const std::string& path) {
  std::vector<SifPartition> partitions = TRY(ReadSifPartitions(image.file.get(), size, path));
  const SifPartition* system = nullptr;
  for (const SifPartition& partition : partitions) {
    if (partition.kind != kSifPrimarySystem) continue;
    if (system != nullptr)
      return Fail(Code::kInvalidArgument, path, ": the SIF has two primary system partitions");
    system = &partition;
  }
  if (system == nullptr)
    return Fail(Code::kInvalidArgument, path,
                ": the SIF has no system partition to run (an OCI-SIF? convert it: `apptainer build new.sif "
                "old.sif`)");
  if (system->file_system != kSifSquashfs)
    return Fail(Code::kUnimplemented, path, ": the SIF's system partition is ",
                FileSystemName(system->file_system));
  image.source = TRY(SourceOf(image.file.get(), *system, Cat(path, ": the system partition")));
  for (const SifPartition& partition : partitions) {
    if (partition.kind != kSifOverlay || partition.group != system->group) continue;
    image.overlays.push_back(
        TRY(SourceOf(image.file.get(), partition, Cat(path, ": the overlay partition ", partition.id))));
  }
  return {};
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
  std::string opening = TRY(ReadOpening(image.file.get(), size));
  if (LooksLikeSif(opening)) {
    image.what = "SIF";
    TRY(TakePartitions(image, size, path));
    return image;
  }
  if (!opening.starts_with("hsqs")) return Fail(Code::kInvalidArgument, path, ": is ", WhatItIs(opening));
  image.what = "squashfs";
  image.source = {.kind = ImageKind::kSquashfuse, .fd = 0, .size = size};
  TRY(CheckSquashfs(image.file.get(), 0, size, Cat(path, ": it")));
  return image;
}

}  // namespace slipway
