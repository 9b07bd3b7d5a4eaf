// SPDX-License-Identifier: Apache-2.0
#include "scheduler/store/sqlite.h"

#include <sys/stat.h>

namespace slipway::scheduler {
namespace {

Error ErrorOf(sqlite3* database, std::string_view what) {
  Code code = Code::kInternal;
  switch (sqlite3_errcode(database)) {
    case SQLITE_FULL:
      code = Code::kResourceExhausted;
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      code = Code::kUnavailable;
      break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      code = Code::kDataLoss;
      break;
    case SQLITE_CANTOPEN:
      code = Code::kNotFound;
      break;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      code = Code::kPermissionDenied;
      break;
    default:
      break;
  }
  return {code, sqlite3_system_errno(database), Cat(what, ": ", sqlite3_errmsg(database))};
}

}  // namespace

Statement& Statement::Bind(int index, std::int64_t value) {
  CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
  return *this;
}

Statement& Statement::Bind(int index, std::string_view blob) {
  CHECK(sqlite3_bind_blob64(statement_.get(), index, blob.data() ? blob.data() : "", blob.size(),
                            SQLITE_STATIC) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::Step() {
  int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = ErrorOf(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()));
  Reset();
  return Failure(std::move(error));
}

Result<> Statement::Run() {
  while (TRY(Step())) {
  }
  Reset();
  return {};
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string Statement::Blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(bytes, size);
}

Result<Database> Database::Open(const std::string& path, const std::string& vfs) {
  Database made;
  sqlite3* raw = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path.c_str(), &raw, flags, vfs.empty() ? nullptr : vfs.c_str());
  made.database_.reset(raw);
  if (code != SQLITE_OK) return Failure(ErrorOf(raw, Cat("opening ", path)));
  sqlite3_extended_result_codes(raw, 0);
  return made;
}

Result<> Database::Run(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return Failure(ErrorOf(database_.get(), sql));
}

Result<std::int64_t> Database::IntOf(const std::string& sql) {
  Statement statement = TRY(Prepare(sql));
  if (!TRY(statement.Step())) return Fail(Code::kNotFound, sql, ": no row");
  return statement.Int(0);
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return Failure(ErrorOf(database_.get(), sql));
  return Statement(raw);
}

}  // namespace slipway::scheduler
