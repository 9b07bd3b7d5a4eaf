// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/catalogue.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "imagestore/store/sqlite.h"

namespace slipway::store {

namespace {

// A row of `digests` is one meaning of a name; the latest (highest seq) is what it means now.
constexpr char kSchema[] =
    "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, owner_uid INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS digests (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL "
    "REFERENCES names(name),"
    " digest TEXT NOT NULL, source_digest TEXT NOT NULL, created INTEGER NOT NULL, size INTEGER NOT NULL, "
    "arch TEXT NOT NULL,"
    " labels TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS digests_by_name ON digests(name, seq);"
    "CREATE INDEX IF NOT EXISTS digests_by_digest ON digests(digest);";
constexpr int kVersion = 1;
constexpr std::size_t kNearestMax = 3;

bool IsPart(std::string_view part, bool capitals) {
  auto is_letter_or_digit = [capitals](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z');
  };
  return !part.empty() && part.size() <= 63 && is_letter_or_digit(part.front()) &&
         std::all_of(part.begin(), part.end(),
                     [&](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

std::string LabelsText(const std::map<std::string, std::string>& labels) {
  return nlohmann::json(labels).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::map<std::string, std::string> LabelsOfText(const std::string& text) {
  std::map<std::string, std::string> labels;
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return labels;
  for (auto& [key, value] : json.items()) {
    if (value.is_string()) labels[key] = value.get<std::string>();
  }
  return labels;
}

constexpr char kSelect[] =
    "SELECT n.name, n.owner_uid, d.digest, d.source_digest, d.created, d.size, d.arch, d.labels FROM names n "
    "JOIN digests d ON d.name = n.name ";

ImageRecord RecordOf(const Statement& row) {
  ImageRecord record;
  record.name = row.Text(0);
  record.owner_uid = static_cast<std::uint32_t>(row.Number(1));
  record.digest = row.Text(2);
  record.source_digest = row.Text(3);
  record.created = row.Number(4);
  record.size = static_cast<std::uint64_t>(row.Number(5));
  record.arch = row.Text(6);
  record.labels = LabelsOfText(row.Text(7));
  return record;
}

}  // namespace

std::string ImageName::Text() const { return Cat(project, "/", name, ":", tag); }

Result<ImageName> ParseImageName(std::string_view text) {
  ImageName image;
  std::string_view rest = text;
  if (std::size_t at = rest.find('@'); at != std::string_view::npos) {
    image.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!IsDigest(image.digest))
      return Fail(Code::kInvalidArgument, "image \"", text.substr(0, 200),
                  "\": after \"@\" must stand sha256: and 64 hex digits");
  }
  image.project = "library";
  if (std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    image.project = rest.substr(0, slash);
    rest = rest.substr(slash + 1);
  }
  std::size_t colon = rest.find(':');
  image.tag = colon == std::string_view::npos ? "latest" : rest.substr(colon + 1);
  image.name = rest.substr(0, colon);
  if (IsPart(image.project, false) && IsPart(image.name, false) && IsPart(image.tag, true)) return image;
  return Fail(Code::kInvalidArgument, "\"", text.substr(0, 200),
              "\" is no image name; one looks like project/name:tag, in lower case letters, digits, \".\", "
              "\"_\" and \"-\"");
}

struct Catalogue::State {
  Database db;

  Result<std::vector<std::string>> Names() {
    std::vector<std::string> names;
    auto query = TRY(Statement::Prepare(db.get(), "SELECT name FROM names ORDER BY name"));
    while (TRY(query.Step())) names.push_back(query.Text(0));
    return names;
  }

  // First a slip of the finger, then the same name in another project or with another tag.
  Result<Error> Unknown(const ImageName& wanted) {
    std::vector<std::string> names = TRY(Names()), near;
    std::string text = wanted.Text();
    if (std::string nearest = NearestWord(text, names); !nearest.empty()) near.push_back(nearest);
    for (const std::string& name : names) {
      auto parsed = ParseImageName(name);
      if (near.size() < kNearestMax && parsed && parsed->name == wanted.name &&
          std::find(near.begin(), near.end(), name) == near.end())
        near.push_back(name);
    }
    return Error{Code::kNotFound, 0,
                 Cat("no image is called ", text,
                     near.empty() ? "; `slipway image ls` shows what there is"
                                  : Cat("; did you mean ", Join(near, " or "), "?"))};
  }

  Result<> FillPrevious(ImageRecord& record) {
    auto query =
        TRY(Statement::Prepare(db.get(), "SELECT digest FROM digests WHERE name = ? ORDER BY seq DESC"));
    query.Bind(record.name);
    while (TRY(query.Step())) {
      std::string digest = query.Text(0);
      bool known = std::find(record.previous.begin(), record.previous.end(), digest) != record.previous.end();
      if (digest != record.digest && !known) record.previous.push_back(digest);
    }
    return {};
  }
};

Catalogue::Catalogue(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalogue::Catalogue(Catalogue&&) noexcept = default;
Catalogue& Catalogue::operator=(Catalogue&&) noexcept = default;
Catalogue::~Catalogue() = default;

Result<Catalogue> Catalogue::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  sqlite3* raw = nullptr;
  int code = sqlite3_open_v2(path.c_str(), &raw,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  state->db.reset(raw);
  if (code != SQLITE_OK) return SqliteFail(raw, "open " + path);
  sqlite3_busy_timeout(raw, 5000);
  for (const char* sql :
       {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"})
    TRY(Execute(raw, sql));
  std::int64_t version = 0;
  {
    auto query = TRY(Statement::Prepare(raw, "PRAGMA user_version"));
    if (TRY(query.Step())) version = query.Number(0);
  }
  if (version > kVersion)
    return Fail(Code::kFailedPrecondition, path, " was written by a newer release (catalogue version ",
                version, ")");
  Transaction transaction = TRY(Transaction::Begin(raw));
  TRY(Execute(raw, kSchema));
  TRY(Execute(raw, Cat("PRAGMA user_version = ", kVersion).c_str()));
  TRY(transaction.Commit());
  return Catalogue(std::move(state));
}

Result<> Catalogue::Add(const ImageRecord& record) {
  ImageName name = TRY(ParseImageName(record.name));
  if (!name.digest.empty())
    return Fail(Code::kInvalidArgument, "a name is given a digest by itself, not by \"@\": ", record.name);
  if (!IsDigest(record.digest)) return Fail(Code::kInvalidArgument, "not a digest: \"", record.digest, "\"");
  sqlite3* db = state_->db.get();
  Transaction transaction = TRY(Transaction::Begin(db));
  {
    auto owner = TRY(Statement::Prepare(db, "SELECT owner_uid FROM names WHERE name = ?"));
    owner.Bind(name.Text());
    bool known = TRY(owner.Step());
    if (known && record.owner_uid != 0 && owner.Number(0) != record.owner_uid) {
      return Fail(Code::kPermissionDenied, "the image ", name.Text(), " belongs to uid ", owner.Number(0));
    }
    if (!known) {
      auto insert = TRY(Statement::Prepare(db, "INSERT INTO names (name, owner_uid) VALUES (?, ?)"));
      TRY(insert.Bind(name.Text()).Bind(std::int64_t{record.owner_uid}).Step());
    }
  }
  {
    auto insert = TRY(Statement::Prepare(db,
                                         "INSERT INTO digests (name, digest, source_digest, created, size, "
                                         "arch, labels) VALUES (?, ?, ?, ?, ?, ?, ?)"));
    insert.Bind(name.Text()).Bind(record.digest).Bind(record.source_digest).Bind(record.created);
    TRY(insert.Bind(static_cast<std::int64_t>(record.size))
            .Bind(record.arch)
            .Bind(LabelsText(record.labels))
            .Step());
  }
  return transaction.Commit();
}

Result<ImageRecord> Catalogue::Resolve(std::string_view reference) const {
  ImageName name = TRY(ParseImageName(reference));
  sqlite3* db = state_->db.get();
  bool pinned = !name.digest.empty();
  auto query = TRY(Statement::Prepare(
      db, (std::string(kSelect) + (pinned ? "WHERE n.name = ? AND d.digest = ?" : "WHERE n.name = ?") +
           " ORDER BY d.seq DESC LIMIT 1")
              .c_str()));
  query.Bind(name.Text());
  if (pinned) query.Bind(name.digest);
  if (TRY(query.Step())) {
    ImageRecord record = RecordOf(query);
    TRY(state_->FillPrevious(record));
    return record;
  }
  if (pinned) {
    auto known = TRY(Statement::Prepare(db, "SELECT 1 FROM names WHERE name = ?"));
    known.Bind(name.Text());
    if (TRY(known.Step()))
      return Fail(Code::kNotFound, "the image ", name.Text(), " never had the digest ", name.digest);
  }
  return Failure(TRY(state_->Unknown(name)));
}

Result<std::vector<ImageRecord>> Catalogue::List() const {
  std::vector<ImageRecord> records;
  auto query = TRY(Statement::Prepare(
      state_->db.get(), (std::string(kSelect) +
                         "WHERE d.seq = (SELECT max(seq) FROM digests WHERE name = n.name) ORDER BY n.name")
                            .c_str()));
  while (TRY(query.Step())) {
    records.push_back(RecordOf(query));
    TRY(state_->FillPrevious(records.back()));
  }
  return records;
}

Result<ImageRecord> Catalogue::Remove(std::string_view reference, std::uint32_t by_uid) {
  ImageRecord record = TRY(Resolve(reference));
  if (by_uid != 0 && by_uid != record.owner_uid)
    return Fail(Code::kPermissionDenied, "the image ", record.name, " belongs to uid ", record.owner_uid);
  sqlite3* db = state_->db.get();
  Transaction transaction = TRY(Transaction::Begin(db));
  for (const char* sql : {"DELETE FROM digests WHERE name = ?", "DELETE FROM names WHERE name = ?"}) {
    auto remove = TRY(Statement::Prepare(db, sql));
    TRY(remove.Bind(record.name).Step());
  }
  TRY(transaction.Commit());
  return record;
}

Result<bool> Catalogue::Mentions(std::string_view digest) const {
  auto query = TRY(Statement::Prepare(state_->db.get(), "SELECT 1 FROM digests WHERE digest = ? LIMIT 1"));
  query.Bind(digest);
  return query.Step();
}

}  // namespace slipway::store
