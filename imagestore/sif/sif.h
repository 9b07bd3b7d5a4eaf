// SPDX-License-Identifier: Apache-2.0
// A SIF file is a table of objects (recipe, labels, signatures, one squashfs) with 64-bit offsets that
// whoever made the file chose. Nothing of it is believed here: every bound is checked against the file's size
// before it is used, and an error names the field that is wrong. The format is Apptainer's, version 01.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "imagestore/sif/object.h"
#include "imagestore/sif/types.h"

namespace slipway::sif {

struct Header {
  std::string launch;                      // first line of the file, "#!/usr/bin/env run-singularity\n"
  std::string arch;                        // name; "unknown" when there is no primary system partition
  std::array<std::uint8_t, 16> uuid;       // all zero in reproducible files
  std::int64_t created = 0, modified = 0;  // seconds since 1970; Go's zero time is -62135596800
  std::uint64_t descriptors_free = 0, descriptors_total = 0;
  std::uint64_t table_offset = 0, table_size = 0;  // bytes
  std::uint64_t data_offset = 0, data_size = 0;    // bytes
};

struct Descriptor {
  DataType type = DataType::kGeneric;
  std::uint64_t slot = 0;   // where in the table, from 0
  std::uint32_t id = 0;     // 1…
  std::uint32_t group = 0;  // 0: in no group
  std::uint32_t link = 0;   // 0: none; an object's id, or a group when link_is_group
  bool link_is_group = false;
  std::uint64_t offset = 0, size = 0, size_with_padding = 0;  // bytes; offset from the start of the file
  std::int64_t created = 0, modified = 0;
  std::int64_t uid = 0, gid = 0;
  std::string name;
  std::array<char, 384> extra{};

  // What `extra` says; each means something for its own data type only.
  FsType fs_type() const;  // of partitions
  PartType part_type() const;
  std::string arch() const;         // name
  HashType hash_type() const;       // of signatures
  std::string fingerprint() const;  // of the PGP key, 40 upper-case hex digits; empty when it is not said
  CryptoFormat crypto_format() const;
  CryptoMessage crypto_message() const;
  SbomFormat sbom_format() const;
  std::string oci_digest() const;  // "sha256:…"; empty when it is none
};

struct Image {
  Header header;
  std::uint64_t file_size = 0;
  std::vector<Descriptor> descriptors;  // used ones, in table order
};

// True when the file has SIF's magic where it belongs. Nothing else is checked.
bool LooksLikeSif(int fd);
// Reads and checks header and table by pread; the position of `fd` neither matters nor moves.
// kInvalidArgument with the field's name when the file is not a SIF, is cut short, or lies.
Result<Image> Read(int fd);
// The partition a container runs from. Refuses a file without one, an encrypted one, and one whose bytes do
// not begin with squashfs' magic; `fd` is the file `image` was read from.
Result<Descriptor> PrimarySystemPartition(const Image& image, int fd);
// An object's bytes, refused beyond `bytes_max`.
Result<std::string> ReadObject(int fd, const Descriptor& descriptor, std::size_t bytes_max = 16 << 20);
// kNotFound says which ids there are.
Result<Descriptor> FindObject(const Image& image, std::uint32_t id);

struct WriterOptions {
  // Set: times are this and the UUID is zero, so that equal input gives equal bytes (SOURCE_DATE_EPOCH).
  std::optional<std::int64_t> epoch;
  unsigned mode = 0755;  // of the finished file, less the umask: SIFs are executable
};
// SOURCE_DATE_EPOCH from the environment, when it is a number.
std::optional<std::int64_t> SourceDateEpoch();

// Writes a new SIF to a temporary file beside its target. Nothing is seen under the target's name before
// Commit, and nothing is left behind when the Writer goes without one. Objects are laid out in the order of
// the calls.
class Writer {
 public:
  static Result<Writer> Create(const std::string& path, const WriterOptions& options = {});
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;
  ~Writer();

  Result<> AddObject(DataType type, std::string_view name, std::string_view bytes);
  Result<> AddObject(const NewObject& object, std::string_view bytes);
  // Where the next partition goes: the caller writes it to `fd` from `offset` on (it may read it back, too),
  // then says how large it became.
  struct Place {
    int fd;  // borrowed
    std::uint64_t offset;
  };
  Result<Place> BeginPartition();
  Result<> EndPartition(std::string_view name, std::uint64_t size, FsType fs_type, PartType part_type,
                        std::string_view arch);
  // Table, header, fsync, rename over the target.
  Result<> Commit();

 private:
  struct State;
  explicit Writer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace slipway::sif
