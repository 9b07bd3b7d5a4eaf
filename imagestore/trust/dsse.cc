// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/dsse.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <nlohmann/json.hpp>

#include "base/crypto/base64.h"
#include "base/crypto/crypto.h"
#include "base/os/fd.h"

namespace slipway::trust {

namespace {

constexpr char kPayloadType[] = "application/vnd.sylabs.sif-metadata+json";
constexpr std::size_t kSignaturesMax = 64;

template <auto F>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    F(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using MdContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;

// What is really signed, so that a text of one type cannot be passed off as another's.
std::string PreAuthenticationEncoding(std::string_view type, std::string_view payload) {
  return Cat("DSSEv1 ", type.size(), " ", type, " ", payload.size(), " ", payload);
}

const EVP_MD* MethodFor(EVP_PKEY* key, sif::HashType hash) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) return nullptr;
  return hash == sif::HashType::kSha512   ? EVP_sha512()
         : hash == sif::HashType::kSha384 ? EVP_sha384()
                                          : EVP_sha256();
}

bool Verifies(EVP_PKEY* key, sif::HashType hash, std::string_view message, std::string_view signature) {
  MdContext context(EVP_MD_CTX_new());
  return context && EVP_DigestVerifyInit(context.get(), nullptr, MethodFor(key, hash), nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

// RSA below 2048 bits and curves below 224 bits are as broken as a weak hash.
Result<> CheckStrength(EVP_PKEY* key, const std::string& path) {
  if (EVP_PKEY_get_security_bits(key) >= 112) return {};
  return Fail(Code::kInvalidArgument, path, ": the key is too short to mean anything (",
              EVP_PKEY_get_bits(key), " bits)");
}

std::string KeyDigest(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return {};
  std::string digest = DigestOf({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return digest;
}

Result<Bio> OpenPem(const std::string& path, std::string& text) {
  text = TRY(ReadFile(path, 1 << 20));
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

class KeySigner : public Signer {
 public:
  explicit KeySigner(Key key) : key_(std::move(key)) {}

  Result<SignedText> Sign(std::string_view text) override {
    std::string message = PreAuthenticationEncoding(kPayloadType, text);
    MdContext context(EVP_MD_CTX_new());
    std::size_t size = 0;
    auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
    if (!context ||
        EVP_DigestSignInit(context.get(), nullptr, MethodFor(key_.get(), sif::HashType::kSha256), nullptr,
                           key_.get()) != 1 ||
        EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) != 1)
      return Fail(Code::kInvalidArgument, "this kind of key cannot sign");
    std::string signature(size, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes,
                       message.size()) != 1)
      return Fail(Code::kInternal, "libcrypto could not sign");
    signature.resize(size);
    nlohmann::ordered_json envelope = {{"payloadType", kPayloadType},
                                       {"payload", Base64(text)},
                                       {"signatures", {{{"sig", Base64(signature)}}}}};
    return SignedText{envelope.dump(), sif::HashType::kSha256, {}};
  }

 private:
  Key key_;
};

class KeyChecker : public Checker {
 public:
  KeyChecker(Key key, std::string name) : key_(std::move(key)), name_(std::move(name)) {}

  Checked Check(std::string_view bytes, sif::HashType hash) override {
    Checked checked;
    auto envelope = ParseDsse(bytes);
    if (!envelope) {
      checked.state = Checked::kUnknownKey;
      checked.why = "not signed by a PEM key";
      return checked;
    }
    if (hash != sif::HashType::kSha256 && hash != sif::HashType::kSha384 && hash != sif::HashType::kSha512) {
      checked.state = Checked::kWeak;
      checked.why = Cat("signed with the hash ", sif::HashTypeName(hash), ", which does not count");
      return checked;
    }
    std::string message = PreAuthenticationEncoding(envelope->payload_type, envelope->payload);
    for (const std::string& signature : envelope->signatures) {
      if (!Verifies(key_.get(), hash, message, signature)) continue;
      return {Checked::kGood, envelope->payload, name_, KeyDigest(key_.get()), {}};
    }
    // Which key made a DSSE signature is not said reliably: it may be another's, and good.
    checked.state = Checked::kUnknownKey;
    checked.why = Cat("no signature of ", name_, " in it");
    return checked;
  }

 private:
  Key key_;
  std::string name_;
};

Result<Certificate> ReadCertificate(const std::string& path) {
  std::string text;
  Bio bio = TRY(OpenPem(path, text));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) return Fail(Code::kInvalidArgument, path, ": no PEM certificate in it");
  return certificate;
}

using Store = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

struct StackFree {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};

bool MeantForCode(X509* certificate) {
  std::unique_ptr<EXTENDED_KEY_USAGE, Freer<EXTENDED_KEY_USAGE_free>> usage(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  if (!usage) return true;  // not restricted
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage.get()); ++i) {
    int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(usage.get(), i));
    if (nid == NID_code_sign || nid == NID_anyExtendedKeyUsage) return true;
  }
  return false;
}

Result<> CheckChain(X509* leaf, const CertificateFiles& files) {
  Store store(X509_STORE_new());
  int loaded = files.roots.empty() ? X509_STORE_set_default_paths(store.get())
                                   : X509_STORE_load_file(store.get(), files.roots.c_str());
  if (loaded != 1) return Fail(Code::kInvalidArgument, files.roots, ": no PEM certificates in it");
  std::unique_ptr<STACK_OF(X509), StackFree> others(sk_X509_new_null());
  if (!files.intermediates.empty()) {
    std::string text;
    Bio bio = TRY(OpenPem(files.intermediates, text));
    while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
      sk_X509_push(others.get(), one);
  }
  StoreContext context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), store.get(), leaf, others.get()) != 1)
    return Fail(Code::kInternal, "libcrypto could not check the certificate");
  if (X509_verify_cert(context.get()) != 1) {
    return Fail(Code::kPermissionDenied, files.certificate, ": its chain is not good: ",
                X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
  }
  if (!MeantForCode(leaf))
    return Fail(Code::kPermissionDenied, files.certificate, ": is not meant for code signing");
  return {};
}

}  // namespace

bool LooksLikeDsse(std::string_view bytes) { return ParseDsse(bytes).has_value(); }

Result<DsseEnvelope> ParseDsse(std::string_view bytes) {
  auto json = nlohmann::json::parse(bytes, nullptr, false);
  auto text = [&](const nlohmann::json& object, const char* key) -> Result<std::string> {
    auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end() || !found->is_string())
      return Fail(Code::kInvalidArgument, "no DSSE envelope");
    return found->get<std::string>();
  };
  DsseEnvelope envelope;
  envelope.payload_type = TRY(text(json, "payloadType"));
  if (envelope.payload_type != kPayloadType)
    return Fail(Code::kInvalidArgument, "a DSSE envelope of another type than a SIF's");
  envelope.payload = TRY(Unbase64(TRY(text(json, "payload"))));
  auto signatures = json.find("signatures");
  if (signatures == json.end() || !signatures->is_array() || signatures->empty() ||
      signatures->size() > kSignaturesMax)
    return Fail(Code::kInvalidArgument, "a DSSE envelope without usable signatures");
  for (const nlohmann::json& one : *signatures)
    envelope.signatures.push_back(TRY(Unbase64(TRY(text(one, "sig")))));
  return envelope;
}

Result<std::unique_ptr<Signer>> PemSigner(const std::string& path) {
  std::string text;
  Bio bio = TRY(OpenPem(path, text));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  OPENSSL_cleanse(text.data(), text.size());
  if (!key)
    return Fail(Code::kInvalidArgument, path, ": no PEM private key in it, or its passphrase is another");
  TRY(CheckStrength(key.get(), path));
  return std::unique_ptr<Signer>(new KeySigner(std::move(key)));
}

Result<std::unique_ptr<Checker>> PemChecker(const std::string& path) {
  auto checker = PemTextChecker(TRY(ReadFile(path, 1 << 20)), path.substr(path.rfind('/') + 1));
  if (!checker) return Failure(std::move(checker).error().Context(path));
  return checker;
}

Result<std::unique_ptr<Checker>> PemTextChecker(std::string_view pem, const std::string& name) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return Fail(Code::kInvalidArgument, "no PEM public key in it");
  TRY(CheckStrength(key.get(), name));
  return std::unique_ptr<Checker>(new KeyChecker(std::move(key), name));
}

Result<std::unique_ptr<Checker>> CertificateChecker(const CertificateFiles& files) {
  Certificate leaf = TRY(ReadCertificate(files.certificate));
  TRY(CheckChain(leaf.get(), files));
  Key key(X509_get_pubkey(leaf.get()));
  if (!key) return Fail(Code::kInvalidArgument, files.certificate, ": its key is of no known kind");
  TRY(CheckStrength(key.get(), files.certificate));
  char name[256] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(leaf.get()), NID_commonName, name, sizeof name);
  return std::unique_ptr<Checker>(new KeyChecker(std::move(key), name));
}

}  // namespace slipway::trust
