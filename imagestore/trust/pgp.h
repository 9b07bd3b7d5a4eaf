// SPDX-License-Identifier: Apache-2.0
// PGP keys and clear-signed texts through gpgme, in a GnuPG folder of Slipway's own: a key counts because it
// was imported there, not because it lies in somebody's mail keyring. Nothing is ever asked of a key server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "imagestore/trust/signer.h"

namespace slipway::trust {

struct PgpKey {
  std::string fingerprint;                // of the primary key, 40 hex digits
  std::string user;                       // "Alice (comment) <alice@example.org>"
  std::string algorithm;                  // "ed25519", "rsa4096"
  std::int64_t created = 0, expires = 0;  // seconds since 1970; 0: never
  bool secret = false, expired = false, revoked = false;
};

struct NewPgpKey {
  std::string name, email, comment;
  std::uint64_t expires_s = 0;  // from now; 0: never
  bool ask_passphrase = true;   // by gpg-agent's pinentry
};

class KeyRing {
 public:
  // $SLIPWAY_KEYS, else $XDG_DATA_HOME/slipway/keys, else ~/.local/share/slipway/keys.
  static Result<std::string> DefaultFolder();
  // Makes the folder (0700) when it is not there. kFailedPrecondition when GnuPG is not installed.
  static Result<KeyRing> Open(const std::string& folder);
  // A ring that holds only the keys in `path` and is gone with it.
  static Result<KeyRing> OfFile(const std::string& path);
  KeyRing(KeyRing&&) noexcept;
  KeyRing& operator=(KeyRing&&) noexcept;
  ~KeyRing();

  Result<std::vector<PgpKey>> List(bool secret) const;
  // Exactly one key by fingerprint, key id or mail address; empty: the only one.
  Result<PgpKey> Find(const std::string& pattern, bool secret) const;
  Result<std::vector<PgpKey>> Import(std::string_view bytes);                     // those that were in it
  Result<std::string> Export(const std::string& fingerprint, bool secret) const;  // armoured
  Result<PgpKey> Generate(const NewPgpKey& wanted);
  Result<> Remove(const std::string& fingerprint, bool secret_too);

  Result<SignedText> ClearSign(const std::string& fingerprint, std::string_view text);
  Checked CheckClearSigned(std::string_view bytes);

 private:
  struct State;
  explicit KeyRing(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

inline bool LooksLikeClearSigned(std::string_view bytes) {
  return bytes.starts_with("-----BEGIN PGP SIGNED MESSAGE-----");
}
std::unique_ptr<Signer> PgpSigner(KeyRing ring, std::string fingerprint);
std::unique_ptr<Checker> PgpChecker(KeyRing ring);

}  // namespace slipway::trust
