// SPDX-License-Identifier: Apache-2.0
// DSSE signatures (secure-systems-lab/dsse): a JSON envelope around the signed text, signed by RSA (PKCS#1
// v1.5), ECDSA or Ed25519 keys that live in PEM files. An X.509 certificate counts as its key, once its chain
// is good.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "imagestore/trust/signer.h"

namespace slipway::trust {

struct DsseEnvelope {
  std::string payload_type, payload;    // decoded
  std::vector<std::string> signatures;  // decoded; at least one, at most 64
};
// kInvalidArgument when it is none.
Result<DsseEnvelope> ParseDsse(std::string_view bytes);
bool LooksLikeDsse(std::string_view bytes);

// PKCS#8 or the older forms; an encrypted one asks for its passphrase on the terminal.
Result<std::unique_ptr<Signer>> PemSigner(const std::string& path);
Result<std::unique_ptr<Checker>> PemChecker(const std::string& path);
// `name`: of the key, for people and for what is said when the key is no good.
Result<std::unique_ptr<Checker>> PemTextChecker(std::string_view pem, const std::string& name);

struct CertificateFiles {
  std::string certificate, intermediates, roots;  // roots empty: the system's
};
// kPermissionDenied when the chain is broken, expired, or not meant for code signing. Revocation is not
// asked.
Result<std::unique_ptr<Checker>> CertificateChecker(const CertificateFiles& files);

}  // namespace slipway::trust
