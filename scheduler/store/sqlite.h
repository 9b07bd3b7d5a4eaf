// SPDX-License-Identifier: Apache-2.0
// SQLite's C interface owned by types: the connection, prepared statements, errors as Result. Private to the
// store.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway::scheduler {

class Statement {
 public:
  Statement() = default;
  // Starts over with nothing bound.
  Statement& Bind(int index, std::int64_t value);
  Statement& Bind(int index, std::string_view blob);  // must live until the statement has run
  Result<bool> Step();                                // true: a row is there
  Result<> Run();                                     // to the end, and reset
  void Reset();
  std::int64_t Int(int column) const;
  std::string Blob(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  // `vfs`: SQLite's name of the file system; empty: the default one.
  static Result<Database> Open(const std::string& path, const std::string& vfs = {});
  Result<> Run(const std::string& sql);
  Result<std::int64_t> IntOf(const std::string& sql);
  Result<Statement> Prepare(std::string_view sql);

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace slipway::scheduler
