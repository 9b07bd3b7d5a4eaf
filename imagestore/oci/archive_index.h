// SPDX-License-Identifier: Apache-2.0
// oci-archive and docker-archive are tars of blobs. The blobs are used where they lie: ArchiveIndex remembers
// where each member begins; only an archive that is itself compressed is unpacked first, into an unnamed
// file.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "imagestore/squashfs/tar_stream.h"

namespace slipway::oci {

class ArchiveIndex {
 public:
  // `scratch_folder` for the unnamed file.
  static Result<ArchiveIndex> Open(const std::string& path, const std::string& scratch_folder,
                                   std::uint64_t bytes_max);

  struct Member {
    std::uint64_t offset = 0, size = 0;
  };
  // Through symlinks in the archive. kNotFound names it.
  Result<Member> Find(const std::string& name) const;
  Result<std::string> ReadSmall(const std::string& name, std::size_t bytes_max) const;
  int fd() const { return file_.get(); }
  UniqueFd TakeFile() && { return std::move(file_); }

 private:
  Result<> Scan(int fd);
  std::string Encoded(bool compressed) const;
  Result<bool> Decode(const std::string& text);  // whether the archive was compressed
  UniqueFd file_;
  std::string path_;
  std::map<std::string, Member> members_;
  std::map<std::string, std::string> links_;
};

// Reads `digest`'s bytes and says kDataLoss at their end when they are others.
std::unique_ptr<squashfs::ByteSource> CheckedSource(std::unique_ptr<squashfs::ByteSource> source,
                                                    std::string digest);

}  // namespace slipway::oci
