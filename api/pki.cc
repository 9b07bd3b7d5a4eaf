// SPDX-License-Identifier: Apache-2.0
#include "api/pki.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <memory>

#include "api/tls.h"
#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertPtr = std::unique_ptr<X509, decltype(&X509_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

constexpr long kDay = 24 * 3600;

KeyPtr MakeEcKey() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

std::string BioText(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}
std::string PemOf(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free);
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return BioText(bio.get());
}
std::string PemOf(X509* cert) {
  BioPtr bio(BIO_new(BIO_s_mem()), BIO_free);
  CHECK(PEM_write_bio_X509(bio.get(), cert) == 1);
  return BioText(bio.get());
}

void AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// Everything but the signature.
CertPtr Blank(const std::string& common_name, EVP_PKEY* key, long days) {
  CertPtr cert(X509_new(), X509_free);
  X509_set_version(cert.get(), 2);
  std::string serial = RandomBytes(16);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()),
                             static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -kDay);  // hosts whose clocks are a little behind
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), days * kDay);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.data()),
                             static_cast<int>(common_name.size()), -1, 0);
  X509_set_pubkey(cert.get(), key);
  return cert;
}

CertPtr MakeCa(const std::string& name, EVP_PKEY* key) {
  CertPtr cert = Blank(name, key, 3652);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  AddExtension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(cert.get(), cert.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(cert.get(), cert.get(), NID_subject_key_identifier, "hash");
  CHECK(X509_sign(cert.get(), key, EVP_sha256()) > 0);
  return cert;
}

CertPtr MakeLeaf(const std::string& dns_name, EVP_PKEY* key, X509* ca, EVP_PKEY* ca_key) {
  CertPtr cert = Blank(dns_name, key, 730);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(ca));
  AddExtension(cert.get(), ca, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(cert.get(), ca, NID_key_usage, "critical,digitalSignature");
  AddExtension(cert.get(), ca, NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(cert.get(), ca, NID_subject_alt_name, "DNS:" + dns_name);
  AddExtension(cert.get(), ca, NID_authority_key_identifier, "keyid");
  CHECK(X509_sign(cert.get(), ca_key, EVP_sha256()) > 0);
  return cert;
}

struct Authority {
  CertPtr cert{nullptr, X509_free};
  KeyPtr key{nullptr, EVP_PKEY_free};
};

Result<Authority> LoadAuthority(const std::string& dir) {
  std::string cert_pem = TRY_CONTEXT(ReadFile(dir + "/ca.pem"), "this folder holds no cluster");
  std::string key_pem = TRY(ReadFile(dir + "/ca.key"));
  Authority authority;
  BioPtr cert_bio(BIO_new_mem_buf(cert_pem.data(), static_cast<int>(cert_pem.size())), BIO_free);
  BioPtr key_bio(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())), BIO_free);
  authority.cert.reset(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  authority.key.reset(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!authority.cert || !authority.key)
    return Fail(Code::kInvalidArgument, dir, ": ca.pem or ca.key is not PEM");
  if (X509_check_private_key(authority.cert.get(), authority.key.get()) != 1) {
    return Fail(Code::kInvalidArgument, dir, ": ca.key does not belong to ca.pem");
  }
  return authority;
}

// The key first: a certificate whose key is not there yet is of no use to anybody.
Result<> IssueLeaf(const Authority& authority, const std::string& path, const std::string& dns_name) {
  KeyPtr key = MakeEcKey();
  if (!key) return Fail(Code::kInternal, "making a P-256 key failed");
  CertPtr cert = MakeLeaf(dns_name, key.get(), authority.cert.get(), authority.key.get());
  TRY(WriteFileAtomically(path + ".key", PemOf(key.get()), 0600));
  return WriteFileAtomically(path + ".crt", PemOf(cert.get()), 0644);
}

bool IsHostLabel(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

Result<ClusterKeys> InitCluster(const std::string& dir, const std::string& cluster_name) {
  TRY(MakeDirectories(dir, 0755));
  struct stat there;
  if (::stat((dir + "/ca.pem").c_str(), &there) == 0) {
    return Fail(Code::kAlreadyExists, dir,
                " holds a cluster's CA already; a new one would cut off every node that has joined");
  }
  KeyPtr ca_key = MakeEcKey();
  if (!ca_key) return Fail(Code::kInternal, "making a P-256 key failed");
  CertPtr ca = MakeCa(Cat("Slipway CA of ", cluster_name), ca_key.get());
  KeyPairPem signing = TRY(MakeEd25519KeyPair());
  ClusterKeys keys{Hex(RandomBytes(8))};
  Authority authority;
  authority.cert = std::move(ca);
  authority.key = std::move(ca_key);
  TRY(WriteFileAtomically(dir + "/ca.key", PemOf(authority.key.get()), 0600));
  TRY(IssueLeaf(authority, dir + "/controller", std::string(kControllerTlsName)));
  TRY(WriteFileAtomically(dir + "/signing.key", signing.private_key, 0600));
  TRY(WriteFileAtomically(dir + "/controller.pub", signing.public_key, 0644));
  TRY(WriteFileAtomically(dir + "/cluster-id", keys.cluster_id + "\n", 0644));
  TRY(MakeDirectories(dir + "/nodes", 0755));
  // Last: a folder with a CA in it is a whole one.
  TRY(WriteFileAtomically(dir + "/ca.pem", PemOf(authority.cert.get()), 0644));
  return keys;
}

Result<> IssueNode(const std::string& dir, const std::string& name) {
  if (!IsHostLabel(name)) {
    return Fail(Code::kInvalidArgument, "\"", name,
                "\" is not a node name: lower-case letters, digits and inner hyphens, at most 63");
  }
  Authority authority = TRY(LoadAuthority(dir));
  TRY(MakeDirectories(dir + "/nodes", 0755));
  return IssueLeaf(authority, Cat(dir, "/nodes/", name), NodeTlsName(name));
}

Result<std::string> ReadClusterId(const std::string& dir) {
  std::string text = TRY(ReadFile(dir + "/cluster-id", 256));
  return std::string(Trim(text));
}

}  // namespace slipway
