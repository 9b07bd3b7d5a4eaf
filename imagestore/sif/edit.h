// SPDX-License-Identifier: Apache-2.0
// Signing an image or giving it an overlay changes a file of gigabytes by a few hundred bytes, so it is
// changed in place. New bytes are on disk before a descriptor names them, and a descriptor is gone before its
// bytes are: whenever the power goes, the file is the old image or the new one.
//
// One editor at a time: the file is locked (flock) while one lives. Times are SOURCE_DATE_EPOCH's where it is
// set, else now; an image that was made reproducibly (no UUID) keeps its times.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "imagestore/sif/object.h"
#include "imagestore/sif/sif.h"

namespace slipway::sif {

enum class OldBytes { kLeave, kZero };

class Editor {
 public:
  // kFailedPrecondition when somebody else is changing it.
  static Result<Editor> Open(const std::string& path);

  int fd() const { return fd_.get(); }
  const Image& image() const { return image_; }

  // Returns the id. OCI objects get their digest here.
  Result<std::uint32_t> Add(const NewObject& object, std::string_view bytes);
  // The same from a descriptor (borrowed), from where it stands to its end.
  Result<std::uint32_t> AddFrom(const NewObject& object, int source_fd);
  // `compact`: what lies behind the last object is cut off the file.
  Result<> Delete(std::uint32_t id, OldBytes old_bytes, bool compact);
  // A system partition becomes the one that containers run from; the one that was becomes an ordinary one.
  Result<> SetPrimary(std::uint32_t id);

 private:
  Editor(UniqueFd fd, Image image) : fd_(std::move(fd)), image_(std::move(image)) {}
  using Fill = std::function<Result<std::uint64_t>(std::uint64_t at, std::string& digest)>;
  Result<std::uint32_t> AddFilled(NewObject object, const Fill& fill);
  Result<std::uint64_t> FreeSlot() const;
  std::uint64_t SlotOf(std::uint32_t id) const;
  std::uint64_t DataEnd() const;  // of the last object
  std::int64_t Now() const;
  Result<> WriteHeader(std::string_view arch_code, std::uint64_t data_end, std::int64_t time);
  std::string ArchCodeNow() const;
  Result<> Reload();

  UniqueFd fd_;
  Image image_;
};

}  // namespace slipway::sif
