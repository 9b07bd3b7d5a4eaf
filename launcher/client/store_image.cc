// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/store_image.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/crypto/crypto.h"
#include "base/text/text.h"

namespace slipway {

BrokerConf ReadStarterConf() {
  auto text = ReadFile(kStarterConf, 64 << 10);
  auto conf = ParseConf(text ? *text : std::string());
  return conf ? std::move(*conf) : ParseConf("").value();
}

namespace {

struct Named {
  std::string name, digest;
};
Result<std::vector<Named>> ParseNames(std::string_view names) {
  std::vector<Named> all;
  int number = 0;
  for (const std::string& line : Split(std::string(names), '\n')) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    auto space = line.find(' ');
    std::string digest = space == std::string::npos ? "" : line.substr(space + 1);
    if (space == 0 || !IsDigest(digest))
      return Fail(Code::kInvalidArgument, "line ", number, " is not 'NAME sha256:…'");
    all.push_back({line.substr(0, space), std::move(digest)});
  }
  return all;
}

}  // namespace

Result<std::vector<std::string>> NamedDigests(std::string_view names) {
  std::vector<std::string> digests;
  for (Named& one : TRY(ParseNames(names))) digests.push_back(std::move(one.digest));
  return digests;
}

Result<std::string> DigestOfName(std::string_view names, std::string_view name) {
  for (Named& one : TRY(ParseNames(names)))
    if (one.name == name) return std::move(one.digest);
  return Fail(Code::kNotFound, "no image of the node's store is named '", name.substr(0, 128), "'");
}

Result<std::string> DigestInStore(const BrokerConf& conf, const std::string& text) {
  if (IsDigest(text)) return text;
  auto file = Open(conf.names_file(), O_RDONLY);
  if (!file) return Fail(Code::kNotFound, "the node's store has no names (", file.error().message, ")");
  struct stat info;
  if (::fstat(file->get(), &info) < 0) return ErrnoFail("fstat", conf.names_file());
  if (info.st_uid != 0 || (info.st_mode & 022) != 0)
    return Fail(Code::kPermissionDenied, conf.names_file(), " must be root's and writable by nobody else");
  return TRY_CONTEXT(DigestOfName(TRY(ReadAll(file->get(), 4 << 20)), text), conf.names_file());
}

ImageFile StoreImage(const std::string& name) {
  ImageFile image;
  image.source.kind = ImageKind::kInherited;
  image.what = "image of the node's store";
  image.path = name;
  return image;
}

}  // namespace slipway
