// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/image_signers.h"

#include <algorithm>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr std::string_view kFirstLine = "slipway-signers 1";
constexpr std::size_t kNameMax = 200;

bool IsHex(std::string_view text, std::string_view letters) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || letters.find(c) != std::string_view::npos;
  });
}

bool IsKey(std::string_view key) { return IsDigest(key) || (key.size() == 40 && IsHex(key, "ABCDEF")); }

bool IsPrintable(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; }

std::string NameOnALine(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !IsPrintable(c); }, '?');
  return name.substr(0, kNameMax);
}

}  // namespace

std::string SignersText(const std::vector<ImageSigner>& signers, std::string_view digest) {
  std::string text = Cat(kFirstLine, digest.empty() ? "" : " ", digest, "\n");
  for (const ImageSigner& one : signers) text += Cat(one.key, " ", NameOnALine(one.name), "\n");
  return text;
}

Result<std::vector<ImageSigner>> ParseSigners(std::string_view text, std::string_view digest) {
  auto damaged = [](std::size_t line) {
    return Fail(Code::kDataLoss, "the record of who signed the image is damaged in line ", line);
  };
  std::vector<ImageSigner> signers;
  for (std::size_t number = 1; !text.empty() || number == 1; ++number) {
    std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return damaged(number);
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      std::string_view of = line.substr(std::min(line.size(), kFirstLine.size()));
      if (!line.starts_with(kFirstLine) || (!of.empty() && (of[0] != ' ' || !IsDigest(of.substr(1)))))
        return damaged(number);
      if (!of.empty() && of.substr(1) != digest)
        return Fail(Code::kPermissionDenied, "what was signed is ", of.substr(1),
                    ", and the image's bytes are ", digest.empty() ? "others" : digest);
      continue;
    }
    std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos || !IsKey(line.substr(0, blank)) ||
        line.size() - blank - 1 > kNameMax || signers.size() == kSignersMax ||
        !std::all_of(line.begin(), line.end(), IsPrintable))
      return damaged(number);
    signers.push_back({std::string(line.substr(0, blank)), std::string(line.substr(blank + 1))});
  }
  return signers;
}

std::vector<ImageSigner> MergeSigners(std::vector<ImageSigner> first,
                                      const std::vector<ImageSigner>& second) {
  for (const ImageSigner& one : second) {
    bool known =
        std::any_of(first.begin(), first.end(), [&](const ImageSigner& had) { return had.key == one.key; });
    if (!known && first.size() < kSignersMax) first.push_back(one);
  }
  return first;
}

std::string SignersFile(std::string_view digest) {
  return Cat("sha256-", digest.substr(digest.find(':') + 1), ".signers");
}

Result<std::vector<ImageSigner>> SignersOf(const std::string& image_dir, std::string_view digest) {
  if (!IsDigest(digest)) return Fail(Code::kInvalidArgument, "not a digest: ", digest.substr(0, 80));
  auto text = ReadFile(Cat(image_dir, "/", SignersFile(digest)), kSignersBytesMax);
  if (!text && text.error().code == Code::kNotFound) return std::vector<ImageSigner>{};
  return ParseSigners(TRY(std::move(text)), digest);
}

Result<std::vector<std::string>> SignedBy(const std::string& image_dir, std::string_view digest) {
  std::vector<std::string> keys;
  for (ImageSigner& one : TRY(SignersOf(image_dir, digest))) keys.push_back(std::move(one.key));
  return keys;
}

}  // namespace slipway
