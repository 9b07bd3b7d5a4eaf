// SPDX-License-Identifier: Apache-2.0
// What a signature in a SIF signs is a small JSON text with digests: of the header, and of each object's
// descriptor and bytes (apptainer/sif pkg/integrity). Whoever wrote the file chose that text, so it is
// decoded with bounds, weak hashes are refused (CVE-2022-39237), and place and order in the file are never
// trusted, for they are not covered.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"
#include "imagestore/sif/sif.h"

namespace slipway::trust {

struct Metadata {
  std::string header;  // digests are written "sha256:<hex>"
  struct Object {
    std::uint32_t relative_id = 0;  // id less the group's lowest id
    std::string descriptor, bytes;  // digests
  };
  std::vector<Object> objects;
};

// kInvalidArgument for anything but version 1 with at least one object and digests of the SHA-2 family.
Result<Metadata> ParseMetadata(std::string_view json);
std::string MetadataJson(const Metadata& metadata);

// The file's own digests; each object is read once for each hash, however many signatures cover it. `fd` and
// `image` are borrowed.
class Digests {
 public:
  Digests(int fd, const sif::Image& image) : fd_(fd), image_(image) {}
  // That object's bytes are written to the empty file `fd` (borrowed) when they are asked for first, and
  // every digest is of what was written: whoever can change the file in between changes nothing of the copy
  // that was compared. `unread`: its SHA-256 is not computed but taken from the first signed text that speaks
  // of it (promised), for whoever takes the copy reads all of it anyway.
  void CopyObject(std::uint32_t id, int fd, bool unread) {
    copied_id_ = id;
    copy_fd_ = fd;
    unread_ = unread;
  }
  // What the copy's digest has to be; empty: nothing was promised, all was compared.
  const std::string& promised() const { return promised_; }
  // `hash`: "sha256" …, as in a digest.
  Result<std::string> OfHeader(std::string_view hash);
  Result<std::string> OfDescriptor(const sif::Descriptor& object, std::uint32_t relative_id,
                                   std::string_view hash);
  Result<std::string> OfBytes(const sif::Descriptor& object, std::string_view hash);
  // Whether its bytes have this digest; true of one that is promised.
  Result<bool> HasDigest(const sif::Descriptor& object, const std::string& digest);

 private:
  bool IsCopied(const sif::Descriptor& object) const { return copy_fd_ >= 0 && object.id == copied_id_; }
  Result<> Copy(const sif::Descriptor& object);
  int fd_;
  const sif::Image& image_;
  std::uint32_t copied_id_ = 0;
  int copy_fd_ = -1;
  bool copied_ = false, unread_ = false;
  std::string promised_;
  std::map<std::pair<std::uint32_t, std::string>, std::string> bytes_;
};

// The group's objects (no signatures among them), by id. kNotFound when there are none.
Result<std::vector<sif::Descriptor>> GroupObjects(const sif::Image& image, std::uint32_t group);
// What is signed when a group is.
Result<Metadata> MakeMetadata(Digests& digests, const sif::Image& image, std::uint32_t group);
// The ids of the objects that `metadata` speaks of. kDataLoss, naming the object, as soon as one is not there
// or not what was signed, or the header is not.
Result<std::vector<std::uint32_t>> CheckMetadata(const Metadata& metadata, Digests& digests,
                                                 const sif::Image& image, std::uint32_t group);

}  // namespace slipway::trust
