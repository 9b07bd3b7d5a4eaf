// SPDX-License-Identifier: Apache-2.0
// What the catalogue knows of each blob, and what people take up.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/crypto/crypto.h"
#include "imagestore/store/catalogue_state.h"

namespace slipway::store {
namespace {

std::string SignersJson(const std::vector<Signer>& signers) {
  nlohmann::json list = nlohmann::json::array();
  for (const Signer& one : signers) list.push_back({one.key, one.name});
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<Signer> SignersOfJson(const std::string& text) {
  std::vector<Signer> signers;
  auto json = nlohmann::json::parse(text, nullptr, false);
  for (const auto& one : json.is_array() ? json : nlohmann::json::array()) {
    if (one.is_array() && one.size() == 2 && one[0].is_string() && one[1].is_string())
      signers.push_back({one[0], one[1]});
  }
  return signers;
}

constexpr char kSelect[] =
    "SELECT digest, source_digest, size, created, last_used, jobs, damaged, signers FROM images ";

ImageFacts FactsOf(const Statement& row) {
  ImageFacts facts;
  facts.digest = row.Text(0);
  facts.source_digest = row.Text(1);
  facts.size = static_cast<std::uint64_t>(row.Number(2));
  facts.created = row.Number(3);
  facts.last_used = row.Number(4);
  facts.jobs = static_cast<std::uint64_t>(row.Number(5));
  facts.damaged = row.Number(6) != 0;
  facts.signers = SignersOfJson(row.Text(7));
  return facts;
}

Result<std::vector<std::uint32_t>> HoldersOf(sqlite3* db, std::string_view digest) {
  std::vector<std::uint32_t> holders;
  auto query = TRY(Statement::Prepare(db, "SELECT uid FROM holders WHERE digest = ? ORDER BY uid"));
  query.Bind(digest);
  while (TRY(query.Step())) holders.push_back(static_cast<std::uint32_t>(query.Number(0)));
  return holders;
}

}  // namespace

Result<> Catalogue::KeepImage(const ImageFacts& facts) {
  if (!IsDigest(facts.digest)) return Fail(Code::kInvalidArgument, "not a digest: \"", facts.digest, "\"");
  sqlite3* db = state_->db.get();
  Transaction transaction = TRY(Transaction::Begin(db));
  std::string content = facts.content ? content::EncodeContent(*facts.content) : std::string();
  TRY(Run(
      db,
      "INSERT INTO images (digest, source_digest, size, created, last_used, jobs, damaged, signers, content) "
      "VALUES (?, ?, ?, ?, 0, 0, 0, ?, ?) ON CONFLICT (digest) DO UPDATE SET damaged = 0, "
      "size = excluded.size, signers = CASE excluded.signers WHEN '[]' THEN signers ELSE excluded.signers "
      "END, "
      "content = CASE excluded.content WHEN '' THEN content ELSE excluded.content END",
      std::string_view(facts.digest), std::string_view(facts.source_digest),
      static_cast<std::int64_t>(facts.size), facts.created, std::string_view(SignersJson(facts.signers)),
      std::string_view(content)));
  if (!facts.source_digest.empty())
    TRY(Run(db,
            "INSERT INTO sources (source_digest, digest) VALUES (?, ?) ON CONFLICT (source_digest) DO UPDATE "
            "SET digest = excluded.digest",
            std::string_view(facts.source_digest), std::string_view(facts.digest)));
  for (std::uint32_t uid : facts.holders)
    TRY(Run(db, "INSERT OR IGNORE INTO holders (digest, uid) VALUES (?, ?)", std::string_view(facts.digest),
            std::int64_t{uid}));
  return transaction.Commit();
}

Result<std::optional<ImageFacts>> Catalogue::FindImage(std::string_view digest) const {
  sqlite3* db = state_->db.get();
  auto query = TRY(Statement::Prepare(db, Cat(kSelect, "WHERE digest = ?").c_str()));
  query.Bind(digest);
  if (!TRY(query.Step())) return std::optional<ImageFacts>();
  ImageFacts facts = FactsOf(query);
  facts.holders = TRY(HoldersOf(db, digest));
  auto content = TRY(Statement::Prepare(db, "SELECT content FROM images WHERE digest = ?"));
  content.Bind(digest);
  if (TRY(content.Step())) {
    if (auto read = content::DecodeContent(content.Text(0))) facts.content = std::move(*read);
  }
  return std::optional<ImageFacts>(std::move(facts));
}

Result<std::vector<ImageFacts>> Catalogue::Images() const {
  std::vector<ImageFacts> images;
  auto query = TRY(Statement::Prepare(state_->db.get(), Cat(kSelect, "ORDER BY digest").c_str()));
  while (TRY(query.Step())) {
    images.push_back(FactsOf(query));
    images.back().holders = TRY(HoldersOf(state_->db.get(), images.back().digest));
  }
  return images;
}

// One that came before such things were kept gets its row now.
Result<> Catalogue::NoteUse(std::string_view digest, std::uint64_t jobs, std::int64_t now_ms) {
  return Run(
      state_->db.get(),
      "INSERT INTO images (digest, source_digest, size, created, last_used, jobs, damaged, signers, content) "
      "VALUES (?, '', 0, ?, ?, ?, 0, '[]', '') ON CONFLICT (digest) DO UPDATE SET "
      "jobs = jobs + excluded.jobs, last_used = max(last_used, excluded.last_used)",
      digest, now_ms, now_ms, static_cast<std::int64_t>(jobs));
}

Result<> Catalogue::NoteDamage(std::string_view digest, bool damaged) {
  return Run(state_->db.get(), "UPDATE images SET damaged = ? WHERE digest = ?",
             static_cast<std::int64_t>(damaged), digest);
}

Result<std::string> Catalogue::ImportOf(std::string_view source_digest) const {
  auto query =
      TRY(Statement::Prepare(state_->db.get(), "SELECT digest FROM sources WHERE source_digest = ?"));
  query.Bind(source_digest);
  return TRY(query.Step()) ? query.Text(0) : std::string();
}

Result<> Catalogue::ForgetImage(std::string_view digest) {
  sqlite3* db = state_->db.get();
  Transaction transaction = TRY(Transaction::Begin(db));
  for (const char* sql : {"DELETE FROM sources WHERE digest = ?", "DELETE FROM holders WHERE digest = ?",
                          "DELETE FROM images WHERE digest = ?"})
    TRY(Run(db, sql, digest));
  return transaction.Commit();
}

Result<> Catalogue::SetLimit(const std::string& subject, std::uint64_t bytes) {
  if (bytes == 0)
    return Run(state_->db.get(), "DELETE FROM limits WHERE subject = ?", std::string_view(subject));
  return Run(state_->db.get(),
             "INSERT INTO limits (subject, bytes) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET bytes = "
             "excluded.bytes",
             std::string_view(subject), static_cast<std::int64_t>(bytes));
}

namespace {

// Whoever moves another's name in a project pays for it himself. Root moves in the owner's name, and so did
// everybody before it was noted who did.
Result<std::map<std::string, std::set<std::string>>> DigestsBySubject(sqlite3* db) {
  std::map<std::string, std::set<std::string>> digests_of;
  auto named = TRY(Statement::Prepare(
      db,
      "SELECT DISTINCT n.name, CASE d.by_uid WHEN 0 THEN n.owner_uid ELSE d.by_uid END, d.digest "
      "FROM names n JOIN digests d ON d.name = n.name"));
  while (TRY(named.Step())) {
    std::string name = named.Text(0);
    digests_of[Cat("project:", name.substr(0, name.find('/')))].insert(named.Text(2));
    digests_of[Cat("user:", named.Number(1))].insert(named.Text(2));
  }
  auto held = TRY(Statement::Prepare(
      db, "SELECT digest, uid FROM holders WHERE digest NOT IN (SELECT digest FROM digests)"));
  while (TRY(held.Step())) digests_of[Cat("user:", held.Number(1))].insert(held.Text(0));
  return digests_of;
}

}  // namespace

Result<bool> Catalogue::Counts(const std::string& subject, const std::string& digest) const {
  auto digests_of = TRY(DigestsBySubject(state_->db.get()));
  auto found = digests_of.find(subject);
  return found != digests_of.end() && found->second.contains(digest);
}

Result<std::map<std::string, Use>> Catalogue::Usage(
    const std::map<std::string, std::uint64_t>& stored) const {
  sqlite3* db = state_->db.get();
  std::map<std::string, Use> usage;
  for (auto& [subject, digests] : TRY(DigestsBySubject(db))) {
    Use& use = usage[subject];
    for (const std::string& digest : digests) {
      auto blob = stored.find(digest);
      if (blob == stored.end()) continue;
      use.bytes += blob->second;
      ++use.images;
    }
  }
  auto limits = TRY(Statement::Prepare(db, "SELECT subject, bytes FROM limits"));
  while (TRY(limits.Step())) usage[limits.Text(0)].limit = static_cast<std::uint64_t>(limits.Number(1));
  return usage;
}

Result<> Catalogue::Check() const {
  auto query = TRY(Statement::Prepare(state_->db.get(), "PRAGMA integrity_check(1)"));
  if (!TRY(query.Step())) return Fail(Code::kDataLoss, "the image catalogue could not be checked");
  if (query.Text(0) != "ok") return Fail(Code::kDataLoss, "the image catalogue is damaged: ", query.Text(0));
  return {};
}

}  // namespace slipway::store
