// SPDX-License-Identifier: Apache-2.0
#include "base/crypto/crypto.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/os/fd.h"

namespace slipway {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CHECK(context_->md != nullptr);
  CHECK(EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
void Sha256::Update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1);
}
std::string Sha256::Finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_->md, digest, &size) == 1);
  return "sha256:" + Hex({reinterpret_cast<char*>(digest), size});
}

std::string DigestOf(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Result<std::string> DigestOfFile(int fd) {
  Sha256 hash;
  std::vector<char> chunk(1 << 20);
  off_t offset = 0;
  for (;;) {
    ssize_t n = ::pread(fd, chunk.data(), chunk.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("pread");
    if (n == 0) return hash.Finish();
    hash.Update({chunk.data(), static_cast<std::size_t>(n)});
    offset += n;
  }
}

Result<std::string> CopyAndDigest(int from, int to) {
  Sha256 hash;
  std::string chunk(1 << 20, '\0');
  for (off_t offset = 0;;) {
    ssize_t n = ::pread(from, chunk.data(), chunk.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("reading what is copied");
    if (n == 0) break;
    std::string_view part(chunk.data(), static_cast<std::size_t>(n));
    hash.Update(part);
    TRY_CONTEXT(WriteAll(to, part), "writing the copy");
    offset += n;
  }
  if (::fsync(to) < 0) return ErrnoFail("fsync of the copy");
  return hash.Finish();
}

namespace {

std::shared_ptr<void> Own(EVP_PKEY* key) {
  return {key, [](void* k) { EVP_PKEY_free(static_cast<EVP_PKEY*>(k)); }};
}
EVP_PKEY* Key(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

template <class WritePem>
Result<std::string> ToPem(WritePem write) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (!bio || write(bio.get()) != 1) return Fail(Code::kInternal, "writing a key as PEM failed");
  char* data = nullptr;
  long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<std::string> PublicPemOf(EVP_PKEY* key) {
  return ToPem([key](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key); });
}

template <class ReadPem>
Result<std::shared_ptr<void>> FromPemText(std::string_view pem, ReadPem read, const char* what) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                BIO_free);
  EVP_PKEY* key = bio ? read(bio.get()) : nullptr;
  if (key == nullptr) return Fail(Code::kInvalidArgument, "not a PEM ", what, " key");
  auto owned = Own(key);
  if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519)
    return Fail(Code::kInvalidArgument, "the ", what, " key is not Ed25519");
  return owned;
}

}  // namespace

Result<KeyPairPem> MakeEd25519KeyPair() {
  EVP_PKEY* made = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (made == nullptr) return Fail(Code::kInternal, "making an Ed25519 key failed");
  auto key = Own(made);
  KeyPairPem pair;
  pair.private_key = TRY(ToPem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, Key(key), nullptr, nullptr, 0, nullptr, nullptr);
  }));
  pair.public_key = TRY(PublicPemOf(Key(key)));
  return pair;
}

Result<SigningKey> SigningKey::FromPem(std::string_view pem) {
  SigningKey key;
  key.key_ = TRY(FromPemText(
      pem, [](BIO* b) { return PEM_read_bio_PrivateKey(b, nullptr, nullptr, nullptr); }, "private"));
  return key;
}

std::string SigningKey::Sign(std::string_view message) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string signature(64, '\0');
  std::size_t size = signature.size();
  CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, Key(key_)) == 1);
  CHECK(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1);
  return signature;
}

Result<std::string> SigningKey::PublicPem() const { return PublicPemOf(Key(key_)); }

Result<std::vector<VerifyingKey>> VerifyingKey::AllFromPem(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----", kEnd = "-----END PUBLIC KEY-----";
  std::vector<VerifyingKey> keys;
  for (auto at = text.find(kBegin); at != text.npos; at = text.find(kBegin, at + 1)) {
    auto end = text.find(kEnd, at);
    if (end == text.npos) return Fail(Code::kInvalidArgument, "a key without an end");
    keys.push_back(TRY(FromPem(Cat(text.substr(at, end + kEnd.size() - at), "\n"))));
  }
  return keys;
}

// Of a key that is written as RFC 8410 says the bytes are taken as they are: OpenSSL's decoders of every
// other kind would stay in the memory of whoever only verifies.
static EVP_PKEY* ReadPublicKey(BIO* bio) {
  constexpr std::string_view kEd25519("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_read_bio(bio, &name, &header, &data, &size) != 1) return nullptr;
  std::string der(reinterpret_cast<char*>(data), static_cast<std::size_t>(size));
  bool ours = std::string_view(name) == PEM_STRING_PUBLIC && *header == '\0';
  for (void* bytes : {static_cast<void*>(name), static_cast<void*>(header), static_cast<void*>(data)})
    OPENSSL_free(bytes);
  if (!ours) return nullptr;
  auto* raw = reinterpret_cast<const unsigned char*>(der.data());
  if (der.size() == kEd25519.size() + 32 && der.starts_with(kEd25519))
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw + kEd25519.size(), 32);
  return d2i_PUBKEY(nullptr, &raw, size);  // of another kind: the caller says so
}

Result<VerifyingKey> VerifyingKey::FromPem(std::string_view pem) {
  VerifyingKey key;
  key.key_ = TRY(FromPemText(pem, ReadPublicKey, "public"));
  return key;
}

void UseCryptoWithoutSettings() {
  CHECK(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, nullptr) == 1);
}

bool VerifyingKey::Verify(std::string_view message, std::string_view signature) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, Key(key_)) != 1) return false;
  return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

std::string RandomBytes(std::size_t n) {
  std::string bytes(n, '\0');
  std::size_t got = 0;
  while (got < n) {
    ssize_t more = ::getrandom(bytes.data() + got, n - got, 0);
    if (more < 0 && errno == EINTR) continue;
    CHECK(more > 0);
    got += static_cast<std::size_t>(more);
  }
  return bytes;
}

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace slipway
