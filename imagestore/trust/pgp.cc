// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/pgp.h"

#include <gpgme.h>
#include <sys/stat.h>

#include <clocale>
#include <cstdlib>

#include "base/os/fd.h"
#include "base/os/process.h"

namespace slipway::trust {

namespace {

constexpr std::size_t kTextMax = 16 << 20;

struct ContextFree {
  void operator()(gpgme_ctx_t context) const { gpgme_release(context); }
};
using Context = std::unique_ptr<gpgme_context, ContextFree>;
struct DataFree {
  void operator()(gpgme_data_t data) const { gpgme_data_release(data); }
};
using Data = std::unique_ptr<gpgme_data, DataFree>;
struct KeyFree {
  void operator()(gpgme_key_t key) const { gpgme_key_unref(key); }
};
using KeyRef = std::unique_ptr<_gpgme_key, KeyFree>;

Failure GpgFail(gpgme_error_t error, std::string_view what) {
  Code code = gpgme_err_code(error) == GPG_ERR_CANCELED ? Code::kCancelled : Code::kFailedPrecondition;
  return Fail(code, what, ": GnuPG says: ", gpgme_strerror(error));
}
#define GPG_TRY(call, what)                                \
  do {                                                     \
    gpgme_error_t gpg_error_ = (call);                     \
    if (gpg_error_ != 0) return GpgFail(gpg_error_, what); \
  } while (false)

Result<Data> DataOf(std::string_view bytes) {
  gpgme_data_t data = nullptr;
  GPG_TRY(gpgme_data_new_from_mem(&data, bytes.data(), bytes.size(), 0), "memory for GnuPG");
  return Data(data);
}
Result<Data> EmptyData() {
  gpgme_data_t data = nullptr;
  GPG_TRY(gpgme_data_new(&data), "memory for GnuPG");
  return Data(data);
}
std::string BytesOf(gpgme_data_t data) {
  std::string bytes;
  char buffer[4096];
  gpgme_data_seek(data, 0, SEEK_SET);
  for (ssize_t n; bytes.size() < kTextMax && (n = gpgme_data_read(data, buffer, sizeof buffer)) > 0;)
    bytes.append(buffer, static_cast<std::size_t>(n));
  return bytes;
}

std::string Text(const char* text) { return text != nullptr ? text : ""; }

PgpKey Describe(gpgme_key_t key) {
  PgpKey made;
  gpgme_subkey_t primary = key->subkeys;
  made.fingerprint = Text(key->fpr != nullptr ? key->fpr : primary->fpr);
  if (key->uids != nullptr) made.user = Text(key->uids->uid);
  if (char* algorithm = gpgme_pubkey_algo_string(primary)) {
    made.algorithm = algorithm;
    gpgme_free(algorithm);
  }
  made.created = primary->timestamp;
  made.expires = primary->expires;
  made.secret = key->secret != 0;
  made.expired = key->expired != 0;
  made.revoked = key->revoked != 0;
  return made;
}

// SHA-1, MD5 and RIPEMD-160 are not in it.
std::optional<sif::HashType> StrongHash(gpgme_hash_algo_t algorithm) {
  switch (algorithm) {
    case GPGME_MD_SHA256:
      return sif::HashType::kSha256;
    case GPGME_MD_SHA384:
      return sif::HashType::kSha384;
    case GPGME_MD_SHA512:
      return sif::HashType::kSha512;
    default:
      return std::nullopt;
  }
}

Result<> PrepareGpgme() {
  static bool prepared = [] {
    std::setlocale(LC_ALL, "");
    return gpgme_check_version(nullptr) != nullptr;
  }();
  if (!prepared) return Fail(Code::kInternal, "gpgme could not be prepared");
  if (gpgme_engine_check_version(GPGME_PROTOCOL_OpenPGP) != 0)
    return Fail(Code::kFailedPrecondition, "GnuPG is not installed (apt install gnupg)");
  return {};
}

std::string RawFingerprint(const std::string& hex) {
  std::string raw;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    raw.push_back(static_cast<char>(std::strtoul(hex.substr(i, 2).c_str(), nullptr, 16)));
  return raw;
}

}  // namespace

struct KeyRing::State {
  std::string folder;
  bool temporary = false;

  ~State() {
    if (!temporary) return;
    // It starts by itself for a secret key; its folder is about to go.
    (void)RunAndCapture({.argv = {"gpgconf", "--homedir", folder, "--kill", "all"}});
    (void)RemoveTree(folder);
  }
  Result<Context> NewContext() const {
    gpgme_ctx_t made = nullptr;
    GPG_TRY(gpgme_new(&made), "gpgme");
    Context context(made);
    GPG_TRY(gpgme_set_protocol(made, GPGME_PROTOCOL_OpenPGP), "gpgme");
    GPG_TRY(gpgme_ctx_set_engine_info(made, GPGME_PROTOCOL_OpenPGP, nullptr, folder.c_str()), "gpgme");
    gpgme_set_armor(made, 1);
    gpgme_set_offline(made, 1);
    return context;
  }
  Result<KeyRef> Get(const std::string& fingerprint, bool secret) const {
    Context context = TRY(NewContext());
    gpgme_key_t key = nullptr;
    GPG_TRY(gpgme_get_key(context.get(), fingerprint.c_str(), &key, secret), Cat("the key ", fingerprint));
    return KeyRef(key);
  }
};

KeyRing::KeyRing(std::unique_ptr<State> state) : state_(std::move(state)) {}
KeyRing::KeyRing(KeyRing&&) noexcept = default;
KeyRing& KeyRing::operator=(KeyRing&&) noexcept = default;
KeyRing::~KeyRing() = default;

Result<std::string> KeyRing::DefaultFolder() {
  if (const char* named = std::getenv("SLIPWAY_KEYS"); named != nullptr && *named != '\0')
    return std::string(named);
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/')
    return Cat(data, "/slipway/keys");
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/')
    return Fail(Code::kFailedPrecondition, "HOME is not set; set SLIPWAY_KEYS");
  return Cat(home, "/.local/share/slipway/keys");
}

Result<KeyRing> KeyRing::Open(const std::string& folder) {
  TRY(PrepareGpgme());
  if (std::size_t slash = folder.rfind('/'); slash != std::string::npos && slash > 0)
    TRY(MakeDirectories(folder.substr(0, slash)));
  if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST) return ErrnoFail("mkdir", folder);
  auto state = std::make_unique<State>();
  state->folder = folder;
  return KeyRing(std::move(state));
}

Result<KeyRing> KeyRing::OfFile(const std::string& path) {
  TRY(PrepareGpgme());
  std::string bytes = TRY(ReadFile(path, 1 << 20));
  auto state = std::make_unique<State>();
  const char* parent = std::getenv("TMPDIR");
  state->folder =
      TRY(MakeTempDirectory(parent != nullptr && *parent == '/' ? parent : "/tmp", "slipway-keys-"));
  state->temporary = true;
  KeyRing ring(std::move(state));
  if (TRY_CONTEXT(ring.Import(bytes), path).empty())
    return Fail(Code::kInvalidArgument, path, ": no PGP key in it");
  return ring;
}

Result<std::vector<PgpKey>> KeyRing::List(bool secret) const {
  Context context = TRY(state_->NewContext());
  GPG_TRY(gpgme_op_keylist_start(context.get(), nullptr, secret), "listing keys");
  std::vector<PgpKey> keys;
  gpgme_key_t key = nullptr;
  while (gpgme_op_keylist_next(context.get(), &key) == 0) {
    KeyRef owned(key);
    keys.push_back(Describe(key));
  }
  return keys;
}

Result<PgpKey> KeyRing::Find(const std::string& pattern, bool secret) const {
  std::vector<PgpKey> found;
  for (PgpKey& key : TRY(List(secret))) {
    bool matches = pattern.empty() || key.user.find(pattern) != std::string::npos ||
                   (pattern.size() >= 8 && key.fingerprint.ends_with(pattern));
    if (matches) found.push_back(std::move(key));
  }
  const char* kind = secret ? "secret PGP key" : "PGP key";
  if (found.size() == 1) return found[0];
  if (found.empty() && pattern.empty())
    return Fail(Code::kNotFound, "there is no ", kind, " in ", state_->folder,
                secret ? "; `slipway key newpair` makes one" : "; `slipway key import` brings one");
  if (found.empty())
    return Fail(Code::kNotFound, "there is no ", kind, " for ", pattern, " in ", state_->folder);
  return Fail(Code::kInvalidArgument, "there are ", found.size(), " ", kind, "s",
              pattern.empty() ? "" : Cat(" for ", pattern),
              "; say which by its fingerprint (slipway key list)");
}

Result<std::vector<PgpKey>> KeyRing::Import(std::string_view bytes) {
  Context context = TRY(state_->NewContext());
  Data data = TRY(DataOf(bytes));
  GPG_TRY(gpgme_op_import(context.get(), data.get()), "importing a key");
  std::vector<PgpKey> keys;
  gpgme_import_result_t result = gpgme_op_import_result(context.get());
  for (gpgme_import_status_t one = result->imports; one != nullptr; one = one->next) {
    if (one->result == 0) keys.push_back(Describe(TRY(state_->Get(one->fpr, false)).get()));
  }
  if (keys.empty()) return Fail(Code::kInvalidArgument, "no PGP key in it");
  return keys;
}

Result<std::string> KeyRing::Export(const std::string& fingerprint, bool secret) const {
  Context context = TRY(state_->NewContext());
  Data data = TRY(EmptyData());
  GPG_TRY(
      gpgme_op_export(context.get(), fingerprint.c_str(), secret ? GPGME_EXPORT_MODE_SECRET : 0, data.get()),
      "exporting a key");
  std::string bytes = BytesOf(data.get());
  if (bytes.empty()) return Fail(Code::kNotFound, "there is no such key: ", fingerprint);
  return bytes;
}

Result<PgpKey> KeyRing::Generate(const NewPgpKey& wanted) {
  Context context = TRY(state_->NewContext());
  std::string user = wanted.name;
  if (!wanted.comment.empty()) user += Cat(" (", wanted.comment, ")");
  user += Cat(" <", wanted.email, ">");
  unsigned flags = GPGME_CREATE_SIGN | GPGME_CREATE_CERT;
  flags |= wanted.expires_s == 0 ? GPGME_CREATE_NOEXPIRE : 0;
  flags |= wanted.ask_passphrase ? 0 : GPGME_CREATE_NOPASSWD;
  GPG_TRY(gpgme_op_createkey(context.get(), user.c_str(), "ed25519", 0,
                             static_cast<unsigned long>(wanted.expires_s), nullptr, flags),
          "making a key");
  gpgme_genkey_result_t made = gpgme_op_genkey_result(context.get());
  return Describe(TRY(state_->Get(made->fpr, true)).get());
}

Result<> KeyRing::Remove(const std::string& fingerprint, bool secret_too) {
  KeyRef key = TRY(state_->Get(fingerprint, false));
  Context context = TRY(state_->NewContext());
  unsigned flags = GPGME_DELETE_FORCE | (secret_too ? GPGME_DELETE_ALLOW_SECRET : 0);
  gpgme_error_t error = gpgme_op_delete_ext(context.get(), key.get(), flags);
  if (gpgme_err_code(error) == GPG_ERR_CONFLICT)
    return Fail(Code::kFailedPrecondition, fingerprint, " has a secret half; --secret removes both");
  if (error != 0) return GpgFail(error, "removing a key");
  return {};
}

Result<SignedText> KeyRing::ClearSign(const std::string& fingerprint, std::string_view text) {
  KeyRef key = TRY(state_->Get(fingerprint, true));
  Context context = TRY(state_->NewContext());
  GPG_TRY(gpgme_signers_add(context.get(), key.get()), "signing");
  Data plain = TRY(DataOf(text)), signed_data = TRY(EmptyData());
  GPG_TRY(gpgme_op_sign(context.get(), plain.get(), signed_data.get(), GPGME_SIG_MODE_CLEAR), "signing");
  gpgme_sign_result_t result = gpgme_op_sign_result(context.get());
  if (result->signatures == nullptr) return Fail(Code::kInternal, "GnuPG signed nothing");
  auto hash = StrongHash(result->signatures->hash_algo);
  if (!hash)
    return Fail(Code::kFailedPrecondition, "GnuPG signed with a weak hash; see digest-algo in ",
                state_->folder, "/gpg.conf");
  return SignedText{BytesOf(signed_data.get()), *hash, RawFingerprint(Describe(key.get()).fingerprint)};
}

Checked KeyRing::CheckClearSigned(std::string_view bytes) {
  Checked checked;
  auto state = [&](Checked::State what, std::string why) {
    checked.state = what;
    checked.why = std::move(why);
    return checked;
  };
  auto context = state_->NewContext();
  auto data = DataOf(bytes);
  auto plain = EmptyData();
  if (!context || !data || !plain) return state(Checked::kUnusable, "GnuPG is not to be had");
  gpgme_error_t error = gpgme_op_verify(context->get(), data->get(), nullptr, plain->get());
  gpgme_verify_result_t result = gpgme_op_verify_result(context->get());
  if (error != 0 || result == nullptr || result->signatures == nullptr)
    return state(Checked::kUnusable, Cat("no usable PGP signature: ", gpgme_strerror(error)));
  if (result->signatures->next != nullptr)
    return state(Checked::kUnusable, "more than one PGP signature in one object");
  gpgme_signature_t signature = result->signatures;
  checked.key = Text(signature->fpr);
  if (gpgme_err_code(signature->status) == GPG_ERR_NO_PUBKEY)
    return state(Checked::kUnknownKey, "signed by a key that you do not have (slipway key import)");
  if (auto key = state_->Get(checked.key, false)) {
    PgpKey described = Describe(key->get());
    checked.key = described.fingerprint;
    checked.signer = described.user;
  }
  if (gpgme_err_code(signature->status) == GPG_ERR_BAD_SIGNATURE)
    return state(Checked::kBad, "the signed text was changed");
  if (signature->status != 0) return state(Checked::kUnusable, gpgme_strerror(signature->status));
  if (!StrongHash(signature->hash_algo))
    return state(Checked::kWeak,
                 Cat("signed with the hash ", Text(gpgme_hash_algo_name(signature->hash_algo)),
                     ", which does not count"));
  checked.text = BytesOf(plain->get());
  checked.state = Checked::kGood;
  return checked;
}

namespace {

class RingSigner : public Signer {
 public:
  RingSigner(KeyRing ring, std::string fingerprint)
      : ring_(std::move(ring)), fingerprint_(std::move(fingerprint)) {}
  Result<SignedText> Sign(std::string_view text) override { return ring_.ClearSign(fingerprint_, text); }

 private:
  KeyRing ring_;
  std::string fingerprint_;
};

class RingChecker : public Checker {
 public:
  explicit RingChecker(KeyRing ring) : ring_(std::move(ring)) {}
  Checked Check(std::string_view signature, sif::HashType) override {
    if (LooksLikeClearSigned(signature)) return ring_.CheckClearSigned(signature);
    Checked checked;
    checked.state = Checked::kUnknownKey;
    checked.why = "signed by a PEM key (--key or --certificate checks it)";
    return checked;
  }

 private:
  KeyRing ring_;
};

}  // namespace

std::unique_ptr<Signer> PgpSigner(KeyRing ring, std::string fingerprint) {
  return std::make_unique<RingSigner>(std::move(ring), std::move(fingerprint));
}
std::unique_ptr<Checker> PgpChecker(KeyRing ring) { return std::make_unique<RingChecker>(std::move(ring)); }

}  // namespace slipway::trust
