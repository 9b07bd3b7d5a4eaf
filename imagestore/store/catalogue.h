// SPDX-License-Identifier: Apache-2.0
// People name images, "base/debian:12"; jobs need digests. The catalogue maps one to the other, remembers
// what a name meant before, and knows of each image what is inside, who signed it, who brought it and who
// used it when. SQLite, synchronous=FULL: what has returned survives a crash. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "imagestore/content/content.h"
#include "imagestore/store/image_name.h"
#include "imagestore/store/policy.h"
#include "imagestore/store/projects.h"

namespace slipway::store {

enum class Visibility : std::uint8_t { kPublic = 0, kGroup = 1, kPrivate = 2 };

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
  Visibility visibility = Visibility::kPublic;
  std::uint32_t group = 0;   // gid, of a name that a group sees
  std::uint32_t by_uid = 0;  // who gave the name this digest
};

// One meaning of a name.
struct Meaning {
  std::string digest;
  std::int64_t created = 0;  // milliseconds since 1970
  std::uint64_t size = 0;
  std::uint32_t by_uid = 0;
};

struct Signer {
  std::string key, name;
  bool operator==(const Signer&) const = default;
};

// What is known of a blob, named or not.
struct ImageFacts {
  std::string digest, source_digest;
  std::uint64_t size = 0;
  std::int64_t created = 0, last_used = 0;  // milliseconds since 1970; 0: never
  std::uint64_t jobs = 0;                   // that were submitted with it
  std::optional<content::Content> content;  // nothing: it was imported before such things were told
  std::vector<Signer> signers;
  std::vector<std::uint32_t> holders;  // who brought it
  bool damaged = false;                // its bytes were found to be others than the digest says
};

// Who asks. An administrator sees everything, and who is in a project all of its names.
struct Viewer {
  std::uint32_t uid = 0;
  std::vector<std::uint32_t> groups;
  bool admin = false;
  std::vector<std::string> projects;  // sorted
};
bool MaySee(const ImageRecord& record, const Viewer& viewer);

// What somebody takes up: each blob once.
struct Use {
  std::uint64_t bytes = 0, images = 0;
  std::uint64_t limit = 0;  // bytes; 0: none of its own
};

class Catalogue {
 public:
  static Result<Catalogue> Open(const std::string& path);  // ":memory:" for tests
  Catalogue(Catalogue&&) noexcept;
  Catalogue& operator=(Catalogue&&) noexcept;
  ~Catalogue();

  // ---- Names

  // Gives `record.name` this digest; `previous` is kept by the catalogue, `by_uid` is who does it. A new name
  // is `owner_uid`'s with this visibility; one that is there keeps its own. kPermissionDenied when the name
  // belongs to another uid than `owner_uid` (uid 0 may replace any).
  Result<> Add(const ImageRecord& record);
  // kNotFound with the nearest names for a reference that is unknown; a reference with "@sha256:…" is held to
  // it (an older digest of the name is found, too).
  Result<ImageRecord> Resolve(std::string_view reference) const;
  // The same for somebody: what he may not see is unknown to him, in the nearest names, too.
  Result<ImageRecord> Resolve(std::string_view reference, const Viewer& viewer) const;
  Result<std::vector<ImageRecord>> List() const;  // by name
  // Forgets the name and its history; the blob is the caller's. kPermissionDenied unless owner or uid 0.
  Result<ImageRecord> Remove(std::string_view reference, std::uint32_t by_uid);
  Result<> SetVisibility(std::string_view name, std::uint32_t by_uid, Visibility visibility,
                         std::uint32_t group);
  Result<std::vector<Meaning>> History(std::string_view name) const;  // latest first
  // True while some name has, or had, this digest.
  Result<bool> Mentions(std::string_view digest) const;
  // The names that have, or had, this digest.
  Result<std::vector<ImageRecord>> NamesOf(std::string_view digest) const;

  // ---- Images

  // A blob that is whole in the store. Known already: content and signers are taken over, `damaged` ends, the
  // holders become more, what it was used for stays.
  Result<> KeepImage(const ImageFacts& facts);
  Result<std::optional<ImageFacts>> FindImage(std::string_view digest) const;
  Result<std::vector<ImageFacts>> Images() const;  // by digest, without content
  Result<> NoteUse(std::string_view digest, std::uint64_t jobs, std::int64_t now_ms);
  Result<> NoteDamage(std::string_view digest, bool damaged);
  // The digest that was imported from this source; empty: none.
  Result<std::string> ImportOf(std::string_view source_digest) const;
  Result<> ForgetImage(std::string_view digest);  // its sources, too; names are not touched

  // ---- Execution policy

  Result<std::int64_t> AddRule(const PolicyRule& rule);  // its id
  Result<> RemoveRule(std::int64_t id);                  // kNotFound
  Result<std::vector<PolicyRule>> Rules() const;         // by id

  // ---- Projects that were given to somebody

  Result<> SetProject(const Project& project);      // new, or as it is to be
  Result<> RemoveProject(const std::string& name);  // kNotFound; its names stay
  Result<std::vector<Project>> Projects() const;    // by name

  // ---- Quotas. Subjects are "user:UID" and "project:NAME".

  Result<> SetLimit(const std::string& subject, std::uint64_t bytes);  // 0: no limit of its own
  // Of every subject that has images or a limit. A user has what he gave a name to, as long as the name means
  // or meant it, and what he brought that has no name; `stored` says which blobs are there.
  Result<std::map<std::string, Use>> Usage(const std::map<std::string, std::uint64_t>& stored) const;
  // Whether the subject has this one already.
  Result<bool> Counts(const std::string& subject, const std::string& digest) const;

  // Other than before: a row was changed meanwhile. As long as it is the same, so is every answer.
  std::int64_t Changes() const;

  // kDataLoss says what SQLite found wrong with the file.
  Result<> Check() const;

 private:
  struct State;
  explicit Catalogue(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace slipway::store
