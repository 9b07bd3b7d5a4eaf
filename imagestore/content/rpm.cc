// SPDX-License-Identifier: Apache-2.0
// rpm keeps a row with a binary header for each package: how many tags and how many bytes of store,
// big-endian, then 16 bytes for each tag (tag, type, offset into the store, count), then the store.
#include <sqlite3.h>

#include <cstring>
#include <memory>

#include "imagestore/content/packages.h"

namespace slipway::content {
namespace {

constexpr std::uint32_t kTagsMax = 65536, kName = 1000, kVersion = 1001, kRelease = 1002, kEpoch = 1003,
                        kArch = 1022, kTypeText = 6, kTypeTexts = 9, kTypeNumber = 4;
constexpr std::size_t kTagBytes = 16, kWalReadVersionAt = 19, kWalWriteVersionAt = 18;

std::uint32_t Big(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

std::string TextAt(std::string_view store, std::size_t offset) {
  if (offset >= store.size()) return {};
  std::string_view text = store.substr(offset, kTextMax);
  return std::string(text.substr(0, text.find('\0')));
}

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

Failure NoDatabase(const char* why) {
  return Fail(Code::kInvalidArgument, "rpm's database could not be read: ", why);
}

}  // namespace

Result<Package> RpmHeader(std::string_view header) {
  auto bad = [] { return Fail(Code::kInvalidArgument, "not a header of rpm's"); };
  if (header.size() < 8) return bad();
  std::uint32_t tags = Big(header, 0), store_bytes = Big(header, 4);
  if (tags > kTagsMax || header.size() - 8 < tags * kTagBytes ||
      header.size() - 8 - tags * kTagBytes < store_bytes)
    return bad();
  std::string_view store = header.substr(8 + tags * kTagBytes, store_bytes);
  Package package{.kind = "rpm"};
  std::string release, epoch;
  for (std::uint32_t i = 0; i < tags; ++i) {
    std::size_t at = 8 + i * kTagBytes;
    std::uint32_t tag = Big(header, at), type = Big(header, at + 4), offset = Big(header, at + 8);
    bool text = type == kTypeText || type == kTypeTexts;
    if (tag == kName && text) package.name = TextAt(store, offset);
    if (tag == kVersion && text) package.version = TextAt(store, offset);
    if (tag == kRelease && text) release = TextAt(store, offset);
    if (tag == kArch && text) package.arch = TextAt(store, offset);
    if (tag == kEpoch && type == kTypeNumber && offset <= store.size() && store.size() - offset >= 4)
      epoch = Cat(Big(store, offset), ":");
  }
  if (package.name.empty()) return bad();
  package.version = Cat(epoch, package.version, release.empty() ? "" : "-", release);
  return package;
}

Result<std::vector<Package>> RpmPackages(std::string database) {
  if (database.size() < 100) return NoDatabase("it is too short");
  // A database in WAL mode cannot be opened from memory; whatever is not in the main file yet is not seen.
  database[kWalReadVersionAt] = database[kWalWriteVersionAt] = 1;
  sqlite3* raw = nullptr;
  int opened = sqlite3_open_v2(":memory:", &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  std::unique_ptr<sqlite3, CloseDatabase> db(raw);
  if (opened != SQLITE_OK) return NoDatabase("SQLite is not to be had");
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  auto* bytes = reinterpret_cast<unsigned char*>(database.data());
  auto size = static_cast<sqlite3_int64>(database.size());
  if (sqlite3_deserialize(raw, "main", bytes, size, size, SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
    return NoDatabase("it is no SQLite database");
  // It was made elsewhere: a query may loop for ever, so it may take so many steps and no more.
  sqlite3_progress_handler(
      raw, 1'000'000,
      [](void* left) {
        auto& rounds = *static_cast<int*>(left);
        return --rounds < 0 ? 1 : 0;
      },
      [] {
        static thread_local int rounds;
        rounds = 1000;
        return &rounds;
      }());
  sqlite3_stmt* raw_statement = nullptr;
  if (sqlite3_prepare_v2(raw, "SELECT blob FROM Packages", -1, &raw_statement, nullptr) != SQLITE_OK)
    return NoDatabase(sqlite3_errmsg(raw));
  std::unique_ptr<sqlite3_stmt, Finalize> statement(raw_statement);
  std::vector<Package> packages;
  int code = SQLITE_ROW;
  while (packages.size() < kPackagesMax && (code = sqlite3_step(statement.get())) == SQLITE_ROW) {
    auto* blob = static_cast<const char*>(sqlite3_column_blob(statement.get(), 0));
    int blob_size = sqlite3_column_bytes(statement.get(), 0);
    if (blob == nullptr) continue;
    auto package = RpmHeader({blob, static_cast<std::size_t>(blob_size)});
    if (package && package->name != "gpg-pubkey") packages.push_back(std::move(*package));
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) return NoDatabase(sqlite3_errmsg(raw));
  return packages;
}

}  // namespace slipway::content
