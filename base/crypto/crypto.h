// SPDX-License-Identifier: Apache-2.0
// SHA-256 for content addresses, Ed25519 for tokens and launch credentials; both by libcrypto. A digest is
// written "sha256:<64 hex digits>" wherever a person or a file sees it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  void Update(std::string_view bytes);
  std::string Finish();  // "sha256:…"; once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string DigestOf(std::string_view bytes);
// The whole file from byte 0, by pread: the descriptor's position does not matter and does not move.
Result<std::string> DigestOfFile(int fd);
// Copies `from`, from its start by pread, to `to`, flushes it to disk, and digests what was written.
Result<std::string> CopyAndDigest(int from, int to);
// Only the canonical spelling: "sha256:" and 64 lower-case hex digits.
bool IsDigest(std::string_view text);

// Keys are kept as PEM files: PKCS#8 for the private key, SubjectPublicKeyInfo for the public one.
struct KeyPairPem {
  std::string private_key, public_key;
};
Result<KeyPairPem> MakeEd25519KeyPair();

class SigningKey {
 public:
  static Result<SigningKey> FromPem(std::string_view pem);
  std::string Sign(std::string_view message) const;  // 64 bytes
  Result<std::string> PublicPem() const;

 private:
  std::shared_ptr<void> key_;
};

class VerifyingKey {
 public:
  static Result<VerifyingKey> FromPem(std::string_view pem);
  // Of a file with one after another; words between them do not matter.
  static Result<std::vector<VerifyingKey>> AllFromPem(std::string_view text);
  bool Verify(std::string_view message, std::string_view signature) const;

 private:
  std::shared_ptr<void> key_;
};

// For a program that verifies and hashes and speaks no TLS, before anything else here: the host's
// openssl.cnf, which may load modules, is not read. Less memory, and nothing of it in a process that is root.
void UseCryptoWithoutSettings();

// From the kernel's generator; aborts when it has none (nothing sensible can go on then).
std::string RandomBytes(std::size_t n);
std::string Hex(std::string_view bytes);

}  // namespace slipway
