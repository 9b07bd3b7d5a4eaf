// SPDX-License-Identifier: Apache-2.0
// slipway sign, slipway verify.
#include "imagestore/trust/trust.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/subcommands.h"
#include "cli/show/table.h"
#include "imagestore/trust/dsse.h"
#include "imagestore/trust/pgp.h"

namespace slipway::cli {
namespace {

Result<trust::KeyRing> UserKeys() { return trust::KeyRing::Open(TRY(trust::KeyRing::DefaultFolder())); }

Result<std::uint32_t> Group(const std::string& text) {
  auto number = ParseNumber(text, 1, 0x0FFFFFFF);
  if (!number) return Fail(Code::kInvalidArgument, "--group-id must be a number from 1 on");
  return static_cast<std::uint32_t>(*number);
}

Result<std::unique_ptr<trust::Signer>> SignerOf(const Parsed& options) {
  if (options.Has("key")) return trust::PemSigner(options.Value("key"));
  trust::KeyRing keys = TRY(UserKeys());
  trust::PgpKey key = TRY(keys.Find(options.Value("fingerprint"), true));
  return trust::PgpSigner(std::move(keys), key.fingerprint);
}

Result<int> Sign(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  std::vector<std::uint32_t> groups;
  for (const std::string& text : options.List("group-id")) groups.push_back(TRY(Group(text)));
  auto signer = TRY(SignerOf(options));
  auto editor = TRY(sif::Editor::Open(path));
  auto ids = TRY_CONTEXT(trust::Sign(editor, *signer, groups), path);
  if (options.Has("json")) Print(nlohmann::json{{"signatures", ids}}.dump() + "\n");
  return 0;
}

Result<std::unique_ptr<trust::Checker>> CheckerOf(const Parsed& options) {
  if (options.Has("certificate")) {
    return trust::CertificateChecker({options.Value("certificate"),
                                      options.Value("certificate-intermediates"),
                                      options.Value("certificate-roots")});
  }
  if (!options.Has("key")) return trust::PgpChecker(TRY(UserKeys()));
  std::string path = options.Value("key"), text = TRY(ReadFile(path, 1 << 20));
  bool pem = text.find("-----BEGIN PUBLIC KEY-----") != std::string::npos ||
             text.find("-----BEGIN RSA PUBLIC KEY-----") != std::string::npos;
  if (pem) return trust::PemChecker(path);
  return trust::PgpChecker(TRY(trust::KeyRing::OfFile(path)));
}

const char* StateName(trust::Checked::State state) {
  switch (state) {
    case trust::Checked::kGood:
      return "good";
    case trust::Checked::kUnknownKey:
      return "unknown key";
    case trust::Checked::kWeak:
      return "weak";
    case trust::Checked::kUnusable:
      return "unusable";
    case trust::Checked::kBad:
      return "WRONG";
  }
  return "";
}

std::string Json(const trust::VerifyReport& report) {
  nlohmann::json signatures = nlohmann::json::array();
  for (const trust::SignatureReport& one : report.signatures) {
    signatures.push_back({{"object", one.object},
                          {"group", one.group},
                          {"kind", one.kind},
                          {"state", StateName(one.checked.state)},
                          {"signer", one.checked.signer},
                          {"key", one.checked.key},
                          {"why", one.checked.why},
                          {"objects", one.objects}});
  }
  nlohmann::json json = {{"verified", report.verified},
                         {"why", report.why},
                         {"verified_objects", report.verified_objects},
                         {"unverified_objects", report.unverified_objects},
                         {"signatures", signatures}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string Ids(const std::vector<std::uint32_t>& ids) {
  std::string text;
  for (std::uint32_t id : ids) text += Cat(text.empty() ? "" : ", ", id);
  return text;
}

std::string ForPeople(const trust::VerifyReport& report) {
  std::string text;
  for (const trust::SignatureReport& one : report.signatures) {
    text += Cat("signature ", one.object, " (", one.kind, ", group ", one.group,
                "): ", StateName(one.checked.state));
    if (!one.checked.signer.empty()) text += Cat(", by ", Printable(one.checked.signer));
    if (!one.checked.key.empty()) text += Cat(", key ", one.checked.key);
    text += one.checked.why.empty() ? Cat(", objects ", Ids(one.objects)) : Cat(": ", one.checked.why);
    text += "\n";
  }
  return text;
}

Result<int> Verify(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  trust::VerifyOptions wanted{.all = options.Has("all")};
  if (options.Has("group-id")) wanted.group = TRY(Group(options.Value("group-id")));
  if (wanted.all && wanted.group)
    return Fail(Code::kInvalidArgument, "--all and --group-id exclude each other");
  UniqueFd file = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  std::vector<std::unique_ptr<trust::Checker>> checkers;
  checkers.push_back(TRY(CheckerOf(options)));
  auto report = TRY_CONTEXT(trust::Verify(file.get(), checkers, wanted), path);
  Print(options.Has("json") ? Json(report) : ForPeople(report));
  if (!report.verified) {
    PrintError({Code::kPermissionDenied, 0, Cat(path, ": NOT verified: ", Printable(report.why))});
    return kRefused;
  }
  if (!options.Has("json")) Print(Cat(path, ": verified: objects ", Ids(report.verified_objects), "\n"));
  return 0;
}

}  // namespace

const Subcommand kSign{{"sign"}, DeclareSign, Sign}, kVerify{{"verify"}, DeclareVerify, Verify};

}  // namespace slipway::cli
