// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/catalogue.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "imagestore/store/catalogue_state.h"

namespace slipway::store {

namespace {

constexpr std::size_t kNearestMax = 3;

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
    "SELECT n.name, n.owner_uid, d.digest, d.source_digest, d.created, d.size, d.arch, d.labels, "
    "n.visibility, "
    "n.group_gid, d.by_uid FROM names n JOIN digests d ON d.name = n.name ";
constexpr char kLatest[] = "WHERE d.seq = (SELECT max(seq) FROM digests WHERE name = n.name) ";

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
  record.visibility = static_cast<Visibility>(row.Number(8));
  record.group = static_cast<std::uint32_t>(row.Number(9));
  record.by_uid = static_cast<std::uint32_t>(row.Number(10));
  return record;
}

}  // namespace

bool MaySee(const ImageRecord& record, const Viewer& viewer) {
  if (viewer.admin || viewer.uid == record.owner_uid || record.visibility == Visibility::kPublic) return true;
  if (std::binary_search(viewer.projects.begin(), viewer.projects.end(),
                         record.name.substr(0, record.name.find('/'))))
    return true;
  return record.visibility == Visibility::kGroup &&
         std::find(viewer.groups.begin(), viewer.groups.end(), record.group) != viewer.groups.end();
}

// First a slip of the finger, then the same name in another project or with another tag.
Result<Error> Catalogue::State::Unknown(const ImageName& wanted, const Viewer* viewer) {
  std::vector<std::string> names, near;
  auto query = TRY(Statement::Prepare(db.get(), Cat(kSelect, kLatest, "ORDER BY n.name").c_str()));
  while (TRY(query.Step())) {
    ImageRecord record = RecordOf(query);
    if (viewer == nullptr || MaySee(record, *viewer)) names.push_back(record.name);
  }
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

Result<> Catalogue::State::FillPrevious(ImageRecord& record) {
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

Catalogue::Catalogue(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalogue::Catalogue(Catalogue&&) noexcept = default;
Catalogue& Catalogue::operator=(Catalogue&&) noexcept = default;
Catalogue::~Catalogue() = default;

std::int64_t Catalogue::Changes() const { return sqlite3_total_changes64(state_->db.get()); }

Result<Catalogue> Catalogue::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  sqlite3* raw = nullptr;
  int code = sqlite3_open_v2(path.c_str(), &raw,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  state->db.reset(raw);
  if (code != SQLITE_OK) return SqliteFail(raw, "open " + path);
  sqlite3_busy_timeout(raw, 5000);
  TRY(state->Prepare(path));
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
      auto insert = TRY(Statement::Prepare(
          db, "INSERT INTO names (name, owner_uid, visibility, group_gid) VALUES (?, ?, ?, ?)"));
      insert.Bind(name.Text()).Bind(std::int64_t{record.owner_uid});
      TRY(insert.Bind(static_cast<std::int64_t>(record.visibility)).Bind(std::int64_t{record.group}).Step());
    }
  }
  // Said twice (a client that lost the answer asks again), it has meant that since the first time.
  {
    auto latest = TRY(
        Statement::Prepare(db, "SELECT seq, digest FROM digests WHERE name = ? ORDER BY seq DESC LIMIT 1"));
    latest.Bind(name.Text());
    if (TRY(latest.Step()) && latest.Text(1) == record.digest) {
      TRY(Run(db, "UPDATE digests SET source_digest = ?, arch = ?, labels = ? WHERE seq = ?",
              std::string_view(record.source_digest), std::string_view(record.arch),
              std::string_view(LabelsText(record.labels)), latest.Number(0)));
      return transaction.Commit();
    }
  }
  {
    auto insert = TRY(Statement::Prepare(db,
                                         "INSERT INTO digests (name, digest, source_digest, created, size, "
                                         "arch, labels, by_uid) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    insert.Bind(name.Text()).Bind(record.digest).Bind(record.source_digest).Bind(record.created);
    TRY(insert.Bind(static_cast<std::int64_t>(record.size))
            .Bind(record.arch)
            .Bind(LabelsText(record.labels))
            .Bind(std::int64_t{record.by_uid})
            .Step());
  }
  return transaction.Commit();
}

Result<ImageRecord> Catalogue::Resolve(std::string_view reference) const {
  return Resolve(reference, {.admin = true});
}

Result<ImageRecord> Catalogue::Resolve(std::string_view reference, const Viewer& viewer) const {
  ImageName name = TRY(ParseImageName(reference));
  sqlite3* db = state_->db.get();
  bool pinned = !name.digest.empty();
  auto query = TRY(
      Statement::Prepare(db, Cat(kSelect, pinned ? "WHERE n.name = ? AND d.digest = ?" : "WHERE n.name = ?",
                                 " ORDER BY d.seq DESC LIMIT 1")
                                 .c_str()));
  query.Bind(name.Text());
  if (pinned) query.Bind(name.digest);
  if (TRY(query.Step())) {
    ImageRecord record = RecordOf(query);
    if (!MaySee(record, viewer)) return Failure(TRY(state_->Unknown(name, &viewer)));
    TRY(state_->FillPrevious(record));
    return record;
  }
  if (pinned) {
    auto known = TRY(Statement::Prepare(db, Cat(kSelect, "WHERE n.name = ?").c_str()));
    known.Bind(name.Text());
    if (TRY(known.Step()) && MaySee(RecordOf(known), viewer))
      return Fail(Code::kNotFound, "the image ", name.Text(), " never had the digest ", name.digest);
  }
  return Failure(TRY(state_->Unknown(name, &viewer)));
}

Result<std::vector<ImageRecord>> Catalogue::List() const {
  std::vector<ImageRecord> records;
  auto query = TRY(Statement::Prepare(state_->db.get(), Cat(kSelect, kLatest, "ORDER BY n.name").c_str()));
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

Result<std::vector<ImageRecord>> Catalogue::NamesOf(std::string_view digest) const {
  std::vector<ImageRecord> records;
  auto query = TRY(Statement::Prepare(
      state_->db.get(),
      Cat(kSelect, kLatest, "AND n.name IN (SELECT name FROM digests WHERE digest = ?) ORDER BY n.name")
          .c_str()));
  query.Bind(digest);
  while (TRY(query.Step())) records.push_back(RecordOf(query));
  return records;
}

Result<> Catalogue::SetVisibility(std::string_view name, std::uint32_t by_uid, Visibility visibility,
                                  std::uint32_t group) {
  ImageRecord record = TRY(Resolve(name));
  if (by_uid != 0 && by_uid != record.owner_uid)
    return Fail(Code::kPermissionDenied, "the image ", record.name, " belongs to uid ", record.owner_uid);
  return Run(state_->db.get(), "UPDATE names SET visibility = ?, group_gid = ? WHERE name = ?",
             static_cast<std::int64_t>(visibility), std::int64_t{group}, record.name);
}

Result<std::vector<Meaning>> Catalogue::History(std::string_view name) const {
  ImageRecord record = TRY(Resolve(name));
  std::vector<Meaning> meanings;
  auto query = TRY(Statement::Prepare(
      state_->db.get(),
      "SELECT digest, created, size, by_uid FROM digests WHERE name = ? ORDER BY seq DESC"));
  query.Bind(record.name);
  while (TRY(query.Step()))
    meanings.push_back({query.Text(0), query.Number(1), static_cast<std::uint64_t>(query.Number(2)),
                        static_cast<std::uint32_t>(query.Number(3))});
  return meanings;
}

}  // namespace slipway::store
