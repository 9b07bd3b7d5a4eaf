// SPDX-License-Identifier: Apache-2.0
// slipway sign, verify, key: options named as Apptainer names them where it has them.
#include "cli/images/declared/declared.h"
#include "cli/images/declared/foreign.h"

namespace slipway::cli {

namespace {
Positional File() { return {.name = "FILE", .arity = Positional::kOne, .complete = "file"}; }
Option Json() { return {.name = "json", .letter = 'j', .help = "print one JSON object"}; }
constexpr char kKeysNote[] =
    "PGP keys live in a GnuPG folder of Slipway's own: $SLIPWAY_KEYS, else $XDG_DATA_HOME/slipway/keys.";
}  // namespace

Command DeclareSign() {
  return {.name = "slipway sign",
          .summary = "sign an image",
          .examples = {{"slipway sign image.sif", "with the only secret PGP key that there is"},
                       {"slipway sign --key site.pem image.sif", "with a PEM key (RSA, ECDSA, Ed25519)"},
                       {"slipway sign --fingerprint 12A5… image.sif", "with that PGP key"}},
          .options =
              WithApptainers("sign", {{.name = "key",
                                       .letter = 'k',
                                       .type = Option::kString,
                                       .value_name = "FILE",
                                       .help = "sign with this PEM private key (DSSE) instead of a PGP key",
                                       .complete = "file"},
                                      {.name = "fingerprint",
                                       .letter = 'f',
                                       .type = Option::kString,
                                       .value_name = "KEY",
                                       .help = "the PGP key, by fingerprint or mail address"},
                                      {.name = "group-id",
                                       .letter = 'g',
                                       .type = Option::kList,
                                       .value_name = "N",
                                       .help = "sign this group; default: every group"},
                                      Json()}),
          .positionals = {File()},
          .notes = kKeysNote};
}

Command DeclareVerify() {
  return {
      .name = "slipway verify",
      .summary = "check an image's signatures",
      .examples = {{"slipway verify image.sif", "by the PGP keys that you imported"},
                   {"slipway verify --key site.pub.pem image.sif",
                    "by a public key (PEM, or a PGP key's file)"},
                   {"slipway verify --certificate site.crt --certificate-roots ca.crt image.sif", ""},
                   {"slipway verify --all image.sif", "every object must be signed"}},
      .options = WithApptainers(
          "verify", {{.name = "all",
                      .letter = 'a',
                      .help = "every object of the file, not only the group that containers run from"},
                     {.name = "key",
                      .letter = 'k',
                      .type = Option::kString,
                      .value_name = "FILE",
                      .help = "only this public key counts: PEM, or an exported PGP key",
                      .complete = "file"},
                     {.name = "certificate",
                      .type = Option::kString,
                      .value_name = "FILE",
                      .help = "only this X.509 certificate's key counts (PEM)",
                      .complete = "file"},
                     {.name = "certificate-roots",
                      .type = Option::kString,
                      .value_name = "FILE",
                      .help = "the CAs that it must descend from; default: the system's",
                      .complete = "file"},
                     {.name = "certificate-intermediates",
                      .type = Option::kString,
                      .value_name = "FILE",
                      .help = "further certificates of its chain",
                      .complete = "file"},
                     {.name = "group-id",
                      .letter = 'g',
                      .type = Option::kString,
                      .value_name = "N",
                      .help = "this group"},
                     Json()}),
      .positionals = {File()},
      .notes =
          "Exit code: 0 when every object that was asked for has a good signature by a key that counts; 1 "
          "otherwise."};
}

Command DeclareKeyList() {
  return {.name = "slipway key list",
          .summary = "list the PGP keys that signatures are checked by",
          .examples = {{"slipway key list", "public keys"},
                       {"slipway key list --secret", "those you can sign with"}},
          .options = {{.name = "secret", .letter = 's', .help = "secret keys"}, Json()},
          .notes = kKeysNote};
}

Command DeclareKeyImport() {
  return {.name = "slipway key import",
          .summary = "trust a PGP key",
          .examples = {{"slipway key import alice.asc", "signatures by it count from now on"}},
          .options = {Json(),
                      {.name = "global",
                       .help = "what a site trusts for all is in slipwayd's settings (trusted keys)",
                       .hidden = true,
                       .foreign = Option::kRefuse}},
          .positionals = {File()},
          .notes = kKeysNote};
}

Command DeclareKeyExport() {
  return {.name = "slipway key export",
          .summary = "write a PGP key to a file",
          .examples = {{"slipway key export 12A5… me.asc", "for those who verify"},
                       {"slipway key export --secret 12A5… me-secret.asc", "the secret one; keep it so"}},
          .options = {{.name = "secret", .letter = 's', .help = "the secret key"}},
          .positionals = {{.name = "KEY", .arity = Positional::kOne, .help = "fingerprint or mail address"},
                          File()}};
}

Command DeclareKeyNewpair() {
  return {
      .name = "slipway key newpair",
      .summary = "make a PGP key pair",
      .examples = {{"slipway key newpair --name 'Alice' --email alice@example.org", ""}},
      .options = {
          {.name = "name", .letter = 'N', .type = Option::kString, .value_name = "NAME", .help = "yours"},
          {.name = "email", .letter = 'E', .type = Option::kString, .value_name = "ADDRESS", .help = "yours"},
          {.name = "comment",
           .letter = 'C',
           .type = Option::kString,
           .value_name = "TEXT",
           .help = "in brackets behind the name"},
          {.name = "expires",
           .type = Option::kString,
           .value_name = "TIME",
           .help = "\"365d\"; default: never"},
          {.name = "no-passphrase", .help = "do not ask for one"},
          Json()}};
}

Command DeclareKeyRemove() {
  return {.name = "slipway key remove",
          .summary = "trust a PGP key no longer",
          .examples = {{"slipway key remove 12A5…", ""}},
          .options = {{.name = "secret", .letter = 's', .help = "its secret half, too"},
                      {.name = "both", .letter = 'b', .help = "the same", .hidden = true}},
          .positionals = {{.name = "KEY", .arity = Positional::kOne, .help = "fingerprint or mail address"}}};
}

}  // namespace slipway::cli
