// SPDX-License-Identifier: Apache-2.0
// The catalogue's one connection, shared by the files that read and write its tables. Private to this folder.
#pragma once

#include "imagestore/store/catalogue.h"
#include "imagestore/store/sqlite.h"

namespace slipway::store {

struct Catalogue::State {
  Database db;

  // Makes or brings up to date the tables. kFailedPrecondition when a newer release wrote them.
  Result<> Prepare(const std::string& path);
  Result<Error> Unknown(const ImageName& wanted, const Viewer* viewer);
  Result<> FillPrevious(ImageRecord& record);
};

// One statement that returns nothing.
template <class... Values>
Result<> Run(sqlite3* db, const char* sql, const Values&... values) {
  auto statement = TRY(Statement::Prepare(db, sql));
  (statement.Bind(values), ...);
  TRY(statement.Step());
  return {};
}

}  // namespace slipway::store
