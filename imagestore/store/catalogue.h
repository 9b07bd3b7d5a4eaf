// SPDX-License-Identifier: Apache-2.0
// People name images, "base/debian:12"; jobs need digests. The catalogue maps one to the other and remembers
// what a name meant before. SQLite, synchronous=FULL: what Add returned survives a crash. One thread at a
// time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::store {

// "project/name:tag", "name:tag" (project "library"), "name" (tag "latest"), each with or without
// "@sha256:…".
struct ImageName {
  std::string project, name, tag;
  std::string digest;        // empty unless the reference pins one
  std::string Text() const;  // "project/name:tag", without the digest
};
// Parts are 1–63 of [a-z0-9._-] (tags may have capitals, too) and begin with a letter or digit.
Result<ImageName> ParseImageName(std::string_view text);

struct ImageRecord {
  std::string name;           // "project/name:tag"
  std::string digest;         // of the blob that is mounted
  std::string source_digest;  // of the file it was imported from; equals digest when taken as it was
  std::uint32_t owner_uid = 0;
  std::int64_t created = 0;  // milliseconds since 1970: when the name got this digest
  std::uint64_t size = 0;    // of the blob, bytes
  std::string arch;
  std::map<std::string, std::string> labels;
  std::vector<std::string> previous;  // digests the name had before, latest first
};

class Catalogue {
 public:
  static Result<Catalogue> Open(const std::string& path);  // ":memory:" for tests
  Catalogue(Catalogue&&) noexcept;
  Catalogue& operator=(Catalogue&&) noexcept;
  ~Catalogue();

  // Gives `record.name` this digest; `previous` is kept by the catalogue. kPermissionDenied when the name
  // belongs to another uid (uid 0 may replace any).
  Result<> Add(const ImageRecord& record);
  // kNotFound with the nearest names for a reference that is unknown; a reference with "@sha256:…" is held to
  // it (an older digest of the name is found, too).
  Result<ImageRecord> Resolve(std::string_view reference) const;
  Result<std::vector<ImageRecord>> List() const;  // by name
  // Forgets the name and its history; the blob is the caller's. kPermissionDenied unless owner or uid 0.
  Result<ImageRecord> Remove(std::string_view reference, std::uint32_t by_uid);
  // True while some name has, or had, this digest.
  Result<bool> Mentions(std::string_view digest) const;

 private:
  struct State;
  explicit Catalogue(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace slipway::store
