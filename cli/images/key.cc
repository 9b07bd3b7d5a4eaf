// SPDX-License-Identifier: Apache-2.0
// slipway key list, import, export, newpair, remove: thin over GnuPG.
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "cli/show/table.h"
#include "imagestore/trust/pgp.h"

namespace slipway::cli {
namespace {

Result<trust::KeyRing> UserKeys() { return trust::KeyRing::Open(TRY(trust::KeyRing::DefaultFolder())); }

void Show(const std::vector<trust::PgpKey>& keys, bool json) {
  if (json) {
    nlohmann::json list = nlohmann::json::array();
    for (const trust::PgpKey& key : keys) {
      list.push_back({{"fingerprint", key.fingerprint},
                      {"user", key.user},
                      {"algorithm", key.algorithm},
                      {"created", key.created},
                      {"expires", key.expires},
                      {"secret", key.secret},
                      {"expired", key.expired},
                      {"revoked", key.revoked}});
    }
    Print(nlohmann::json{{"keys", list}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n");
    return;
  }
  Table table({{"FINGERPRINT"}, {"KIND"}, {"CREATED"}, {"STATE"}, {"USER"}});
  for (const trust::PgpKey& key : keys) {
    table.Add({key.fingerprint, key.algorithm, FormatMoment(key.created * 1000),
               key.revoked   ? "revoked"
               : key.expired ? "expired"
                             : "good",
               key.user});
  }
  Print(table.Text(WantsColour(STDOUT_FILENO)));
}

Result<int> List(const Parsed& options) {
  trust::KeyRing keys = TRY(UserKeys());
  Show(TRY(keys.List(options.Has("secret"))), options.Has("json"));
  return 0;
}

Result<int> Import(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  trust::KeyRing keys = TRY(UserKeys());
  std::string bytes = TRY(ReadFile(path, 1 << 20));
  Show(TRY_CONTEXT(keys.Import(bytes), path), options.Has("json"));
  return 0;
}

Result<int> Export(const Parsed& options) {
  bool secret = options.Has("secret");
  trust::KeyRing keys = TRY(UserKeys());
  trust::PgpKey key = TRY(keys.Find(options.positionals()[0], secret));
  std::string bytes = TRY(keys.Export(key.fingerprint, secret));
  TRY(WriteFileAtomically(options.positionals()[1], bytes, secret ? 0600 : 0644));
  return 0;
}

// "365d": ParseTimeLimit's bare numbers would be minutes, which nobody means here.
Result<std::uint64_t> Lifetime(const Parsed& options) {
  if (!options.Has("expires")) return std::uint64_t{0};
  auto limit = ParseTimeLimit(options.Value("expires"));
  if (!limit || *limit <= std::chrono::seconds(0) || *limit == std::chrono::seconds::max())
    return Fail(Code::kInvalidArgument, "slipway key newpair: --expires must be a time such as 365d");
  return static_cast<std::uint64_t>(limit->count());
}

Result<int> Newpair(const Parsed& options) {
  trust::NewPgpKey wanted{.name = options.Value("name"),
                          .email = options.Value("email"),
                          .comment = options.Value("comment"),
                          .expires_s = TRY(Lifetime(options)),
                          .ask_passphrase = !options.Has("no-passphrase")};
  if (wanted.name.empty() || wanted.email.find('@') == std::string::npos)
    return UsageExit(
        {Code::kInvalidArgument, 0, "slipway key newpair: --name and --email must say whose key it is"});
  trust::KeyRing keys = TRY(UserKeys());
  Show({TRY(keys.Generate(wanted))}, options.Has("json"));
  return 0;
}

Result<int> Remove(const Parsed& options) {
  trust::KeyRing keys = TRY(UserKeys());
  trust::PgpKey key = TRY(keys.Find(options.positionals()[0], false));
  TRY(keys.Remove(key.fingerprint, options.Has("secret") || options.Has("both")));
  return 0;
}

}  // namespace

const Subcommand kKeyList{{"key", "list"}, DeclareKeyList, List},
    kKeyImport{{"key", "import"}, DeclareKeyImport, Import},
    kKeyExport{{"key", "export"}, DeclareKeyExport, Export},
    kKeyNewpair{{"key", "newpair"}, DeclareKeyNewpair, Newpair},
    kKeyRemove{{"key", "remove"}, DeclareKeyRemove, Remove};

}  // namespace slipway::cli
