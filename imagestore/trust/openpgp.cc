// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/openpgp.h"

#include <rnp/rnp.h>
#include <rnp/rnp_err.h>

#include <string>

#include "imagestore/trust/pgp.h"

namespace slipway::trust {
namespace {

constexpr std::size_t kSignatureMax = 1 << 20;

template <auto F>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    F(object);
  }
};
using Ffi = std::unique_ptr<rnp_ffi_st, Freer<rnp_ffi_destroy>>;
using Input = std::unique_ptr<rnp_input_st, Freer<rnp_input_destroy>>;
using Output = std::unique_ptr<rnp_output_st, Freer<rnp_output_destroy>>;
using Verification = std::unique_ptr<rnp_op_verify_st, Freer<rnp_op_verify_destroy>>;
using KeyHandle = std::unique_ptr<rnp_key_handle_st, Freer<rnp_key_handle_destroy>>;

Result<Input> InputOf(std::string_view bytes) {
  rnp_input_t raw = nullptr;
  auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (rnp_input_from_memory(&raw, data, bytes.size(), false) != RNP_SUCCESS)
    return Fail(Code::kInternal, "librnp takes no input");
  return Input(raw);
}

// librnp gives texts away to be freed.
template <class Get>
std::string Text(Get get) {
  char* raw = nullptr;
  if (get(&raw) != RNP_SUCCESS || raw == nullptr) return {};
  std::string text = raw;
  rnp_buffer_destroy(raw);
  return text;
}

std::string PrimaryFingerprint(rnp_key_handle_t key) {
  bool primary = false;
  if (rnp_key_is_primary(key, &primary) != RNP_SUCCESS) return {};
  return Text([&](char** into) {
    return primary ? rnp_key_get_fprint(key, into) : rnp_key_get_primary_fprint(key, into);
  });
}

class OpenPgp : public Checker {
 public:
  explicit OpenPgp(Ffi ffi) : ffi_(std::move(ffi)) {}

  Checked Check(std::string_view bytes, sif::HashType) override {
    checked_ = {};
    if (!LooksLikeClearSigned(bytes)) return Is(Checked::kUnknownKey, "signed by a PEM key");
    if (bytes.size() > kSignatureMax) return Is(Checked::kUnusable, "the signed text is too long");
    auto input = InputOf(bytes);
    rnp_output_t raw_output = nullptr;
    if (!input || rnp_output_to_memory(&raw_output, kSignatureMax) != RNP_SUCCESS)
      return Is(Checked::kUnusable, "librnp is not to be had");
    Output output(raw_output);
    rnp_op_verify_t raw = nullptr;
    if (rnp_op_verify_create(&raw, ffi_.get(), input->get(), output.get()) != RNP_SUCCESS)
      return Is(Checked::kUnusable, "librnp is not to be had");
    Verification verification(raw);
    rnp_result_t executed = rnp_op_verify_execute(verification.get());
    std::size_t count = 0;
    if (rnp_op_verify_get_signature_count(verification.get(), &count) != RNP_SUCCESS || count == 0)
      return Is(Checked::kUnusable, Cat("no usable PGP signature: ", rnp_result_to_string(executed)));
    if (count != 1) return Is(Checked::kUnusable, "more than one PGP signature in one object");
    rnp_op_verify_signature_t signature = nullptr;
    if (rnp_op_verify_get_signature_at(verification.get(), 0, &signature) != RNP_SUCCESS)
      return Is(Checked::kUnusable, "no usable PGP signature");
    Judge(signature);
    if (checked_.state != Checked::kGood) return checked_;
    std::uint8_t* text = nullptr;
    std::size_t size = 0;
    if (executed != RNP_SUCCESS ||
        rnp_output_memory_get_buf(output.get(), &text, &size, false) != RNP_SUCCESS)
      return Is(Checked::kUnusable, Cat("no usable PGP signature: ", rnp_result_to_string(executed)));
    checked_.text.assign(reinterpret_cast<const char*>(text), size);
    return checked_;
  }

 private:
  Checked Is(Checked::State state, std::string why) {
    checked_.state = state;
    checked_.why = std::move(why);
    return checked_;
  }

  void Judge(rnp_op_verify_signature_t signature) {
    rnp_result_t status = rnp_op_verify_signature_get_status(signature);
    rnp_key_handle_t raw_key = nullptr;
    if (rnp_op_verify_signature_get_key(signature, &raw_key) != RNP_SUCCESS || raw_key == nullptr) {
      Is(Checked::kUnknownKey, "signed by a key that is not among the site's");
      return;
    }
    KeyHandle key(raw_key);
    checked_.key = PrimaryFingerprint(key.get());
    KeyHandle primary = Primary();
    if (checked_.key.empty() || !primary) {
      Is(Checked::kUnusable, "the key has no primary key");
      return;
    }
    checked_.signer = Text([&](char** into) { return rnp_key_get_primary_uid(primary.get(), into); });
    if (status == RNP_ERROR_SIGNATURE_INVALID) {
      Is(Checked::kBad, "the signed text was changed");
    } else if (!Usable(key.get()) || !Usable(primary.get())) {
      Is(Checked::kUnusable, "the key is expired, revoked or not valid");
    } else if (status != RNP_SUCCESS) {
      Is(Checked::kUnusable, rnp_result_to_string(status));
    } else {
      JudgeHash(signature);
    }
  }

  void JudgeHash(rnp_op_verify_signature_t signature) {
    std::string hash = Text([&](char** into) { return rnp_op_verify_signature_get_hash(signature, into); });
    bool strong = hash == "SHA256" || hash == "SHA384" || hash == "SHA512";
    Is(strong ? Checked::kGood : Checked::kWeak,
       strong ? "" : Cat("signed with the hash ", hash, ", which does not count"));
  }

  KeyHandle Primary() {
    rnp_key_handle_t raw = nullptr;
    rnp_locate_key(ffi_.get(), "fingerprint", checked_.key.c_str(), &raw);
    return KeyHandle(raw);
  }
  static bool Usable(rnp_key_handle_t key) {
    bool valid = false, revoked = true, expired = true;
    return rnp_key_is_valid(key, &valid) == RNP_SUCCESS && valid &&
           rnp_key_is_revoked(key, &revoked) == RNP_SUCCESS && !revoked &&
           rnp_key_is_expired(key, &expired) == RNP_SUCCESS && !expired;
  }

  Ffi ffi_;
  Checked checked_;
};

}  // namespace

Result<std::unique_ptr<Checker>> OpenPgpChecker(std::string_view armoured_keys) {
  rnp_ffi_t raw = nullptr;
  if (rnp_ffi_create(&raw, "GPG", "GPG") != RNP_SUCCESS)
    return Fail(Code::kInternal, "librnp could not be begun");
  Ffi ffi(raw);
  Input input = TRY(InputOf(armoured_keys));
  rnp_result_t loaded = RNP_SUCCESS;
  bool any = false;
  // One block at a time; the end of the text is no error after the first.
  while ((loaded = rnp_import_keys(ffi.get(), input.get(), RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SINGLE,
                                   nullptr)) == RNP_SUCCESS)
    any = true;
  if (!any || loaded != RNP_ERROR_EOF)
    return Fail(Code::kInvalidArgument, "no usable PGP public key: ", rnp_result_to_string(loaded));
  return std::unique_ptr<Checker>(new OpenPgp(std::move(ffi)));
}

}  // namespace slipway::trust
