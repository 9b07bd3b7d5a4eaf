// SPDX-License-Identifier: Apache-2.0
// The catalogue's tables, and how those of an older release become today's.
#include "imagestore/store/catalogue_state.h"

namespace slipway::store {
namespace {

// A row of `digests` is one meaning of a name; the latest (highest seq) is what it means now.
constexpr char kFirst[] =
    "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, owner_uid INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS digests (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL "
    "REFERENCES names(name),"
    " digest TEXT NOT NULL, source_digest TEXT NOT NULL, created INTEGER NOT NULL, size INTEGER NOT NULL, "
    "arch TEXT NOT NULL,"
    " labels TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS digests_by_name ON digests(name, seq);"
    "CREATE INDEX IF NOT EXISTS digests_by_digest ON digests(digest);";
constexpr char kSecond[] =
    "ALTER TABLE names ADD COLUMN visibility INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE names ADD COLUMN group_gid INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE digests ADD COLUMN by_uid INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE images (digest TEXT PRIMARY KEY, source_digest TEXT NOT NULL, size INTEGER NOT NULL,"
    " created INTEGER NOT NULL, last_used INTEGER NOT NULL, jobs INTEGER NOT NULL, damaged INTEGER NOT NULL,"
    " signers TEXT NOT NULL, content BLOB NOT NULL);"
    "CREATE TABLE sources (source_digest TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX sources_by_digest ON sources(digest);"
    "CREATE TABLE holders (digest TEXT NOT NULL, uid INTEGER NOT NULL, PRIMARY KEY (digest, uid)) WITHOUT "
    "ROWID;"
    "CREATE TABLE rules (id INTEGER PRIMARY KEY AUTOINCREMENT, allow INTEGER NOT NULL, pattern TEXT NOT NULL,"
    " subjects TEXT NOT NULL, keys TEXT NOT NULL, by_uid INTEGER NOT NULL, created INTEGER NOT NULL);"
    "CREATE TABLE limits (subject TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;";
constexpr char kThird[] =
    "CREATE TABLE projects (name TEXT PRIMARY KEY, owners TEXT NOT NULL, members TEXT NOT NULL,"
    " by_uid INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;";
constexpr const char* kSteps[] = {kFirst, kSecond, kThird};
constexpr int kVersion = std::size(kSteps);

}  // namespace

Result<> Catalogue::State::Prepare(const std::string& path) {
  for (const char* sql :
       {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"})
    TRY(Execute(db.get(), sql));
  Transaction transaction = TRY(Transaction::Begin(db.get()));
  std::int64_t version = 0;
  {
    auto query = TRY(Statement::Prepare(db.get(), "PRAGMA user_version"));
    if (TRY(query.Step())) version = query.Number(0);
  }
  if (version > kVersion)
    return Fail(Code::kFailedPrecondition, path, " was written by a newer release (catalogue version ",
                version, ")");
  for (std::int64_t step = std::max<std::int64_t>(version, 0); step < kVersion; ++step)
    TRY(Execute(db.get(), kSteps[step]));
  TRY(Execute(db.get(), Cat("PRAGMA user_version = ", kVersion).c_str()));
  return transaction.Commit();
}

}  // namespace slipway::store
