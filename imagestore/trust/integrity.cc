// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/integrity.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "imagestore/sif/layout.h"

namespace slipway::trust {

namespace {

constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kObjectsMax = 65536;

struct Hash {
  std::string_view name;  // in a digest
  const char* openssl;    // to OpenSSL
  std::size_t hex_digits;
};
constexpr Hash kHashes[] = {{"sha256", "SHA256", 64},         {"sha384", "SHA384", 96},
                            {"sha512", "SHA512", 128},        {"sha224", "SHA224", 56},
                            {"sha512_224", "SHA512-224", 56}, {"sha512_256", "SHA512-256", 64}};

Result<Hash> FindHash(std::string_view name) {
  for (const Hash& hash : kHashes) {
    if (hash.name == name) return hash;
  }
  return Fail(Code::kInvalidArgument, "the hash ", std::string(name.substr(0, 32)), " is weak or unknown");
}

std::string HashOf(std::string_view digest) { return std::string(digest.substr(0, digest.find(':'))); }

Result<std::string> DigestField(const nlohmann::json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string())
    return Fail(Code::kInvalidArgument, "the signed text lacks the digest ", key);
  auto text = found->get<std::string>();
  Hash hash = TRY(FindHash(HashOf(text)));
  std::string_view hex = std::string_view(text).substr(std::min(text.size(), hash.name.size() + 1));
  if (hex.size() != hash.hex_digits || hex.find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return Fail(Code::kInvalidArgument, "the signed text's digest ", key, " is malformed");
  return text;
}

class Hasher {
 public:
  static Result<Hasher> Of(std::string_view name) {
    Hash hash = TRY(FindHash(name));
    Hasher made;
    made.prefix_ = Cat(hash.name, ":");
    made.context_.reset(EVP_MD_CTX_new());
    std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> method(EVP_MD_fetch(nullptr, hash.openssl, nullptr),
                                                           &EVP_MD_free);
    if (!made.context_ || !method || EVP_DigestInit_ex2(made.context_.get(), method.get(), nullptr) != 1)
      return Fail(Code::kInternal, "libcrypto has no ", hash.openssl);
    return made;
  }
  void Update(std::string_view bytes) {
    CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string Finish() {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(EVP_DigestFinal_ex(context_.get(), out, &size) == 1);
    return prefix_ + Hex({reinterpret_cast<const char*>(out), size});
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::string prefix_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

Result<std::uint32_t> LowestId(const sif::Image& image, std::uint32_t group) {
  std::uint32_t lowest = UINT32_MAX;
  for (const sif::Descriptor& d : image.descriptors) {
    if (d.group == group) lowest = std::min(lowest, d.id);
  }
  if (lowest == UINT32_MAX) return Fail(Code::kNotFound, "there is no group ", group);
  return lowest;
}

}  // namespace

Result<Metadata> ParseMetadata(std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Fail(Code::kInvalidArgument, "the signed text is no JSON object");
  auto version = json.find("version"), header = json.find("header"), objects = json.find("objects");
  if (version == json.end() || !version->is_number_integer() || version->get<std::int64_t>() != 1)
    return Fail(Code::kInvalidArgument, "the signed text is not of version 1");
  if (header == json.end() || !header->is_object() || objects == json.end() || !objects->is_array())
    return Fail(Code::kInvalidArgument, "the signed text lacks header or objects");
  if (objects->empty() || objects->size() > kObjectsMax)
    return Fail(Code::kInvalidArgument, "the signed text speaks of ", objects->size(), " objects");
  Metadata metadata;
  metadata.header = TRY(DigestField(*header, "digest"));
  std::set<std::uint32_t> seen;
  for (const nlohmann::json& object : *objects) {
    auto id = object.is_object() ? object.find("relativeId") : object.end();
    if (!object.is_object() || id == object.end() || !id->is_number_unsigned() ||
        id->get<std::uint64_t>() > kObjectsMax)
      return Fail(Code::kInvalidArgument, "the signed text has an object without a usable relativeId");
    Metadata::Object made;
    made.relative_id = id->get<std::uint32_t>();
    if (!seen.insert(made.relative_id).second)
      return Fail(Code::kInvalidArgument, "the signed text speaks twice of one object");
    made.descriptor = TRY(DigestField(object, "descriptorDigest"));
    made.bytes = TRY(DigestField(object, "objectDigest"));
    metadata.objects.push_back(std::move(made));
  }
  return metadata;
}

std::string MetadataJson(const Metadata& metadata) {
  nlohmann::ordered_json objects = nlohmann::ordered_json::array();
  for (const Metadata::Object& object : metadata.objects) {
    objects.push_back({{"relativeId", object.relative_id},
                       {"descriptorDigest", object.descriptor},
                       {"objectDigest", object.bytes}});
  }
  nlohmann::ordered_json json = {
      {"version", 1}, {"header", {{"digest", metadata.header}}}, {"objects", objects}};
  return json.dump();
}

Result<std::string> Digests::OfHeader(std::string_view hash) {
  char raw[sif::kHeaderSize];
  TRY(ReadExactlyAt(fd_, std::as_writable_bytes(std::span(raw)), 0));
  Hasher hasher = TRY(Hasher::Of(hash));
  // Not the architecture, times and offsets between them and behind them.
  hasher.Update({raw, sif::kLaunchSize});
  hasher.Update({raw + sif::kMagicAt, sif::kMagicSize});
  hasher.Update({raw + sif::kVersionAt, sif::kVersionSize});
  hasher.Update({raw + sif::kUuidAt, sif::kUuidSize});
  return hasher.Finish();
}

Result<std::string> Digests::OfDescriptor(const sif::Descriptor& object, std::uint32_t relative_id,
                                          std::string_view hash) {
  char raw[sif::kDescriptorSize];
  std::uint64_t at = image_.header.table_offset + object.slot * sif::kDescriptorSize;
  TRY(ReadExactlyAt(fd_, std::as_writable_bytes(std::span(raw)), at));
  char id[4];
  sif::StoreLe<std::uint32_t>(id, relative_id);
  Hasher hasher = TRY(Hasher::Of(hash));
  hasher.Update({raw, 5});  // type, used
  hasher.Update({id, sizeof id});
  hasher.Update({raw + sif::kLinkIn, 4});
  hasher.Update({raw + sif::kSizeIn, 8});
  hasher.Update({raw + sif::kCreatedIn, 8});
  hasher.Update({raw + sif::kUidIn, 16});  // uid, gid
  hasher.Update({raw + sif::kNameIn, sif::kNameSize});
  hasher.Update({raw + sif::kExtraIn, sif::kExtraSize});
  return hasher.Finish();
}

namespace {

// Calls `take` with each piece of the object and where in the object it is.
Result<> ReadPieces(int fd, std::uint64_t from, std::uint64_t size,
                    const std::function<Result<>(std::string_view, std::uint64_t)>& take) {
  std::string buffer;
  for (std::uint64_t done = 0; done < size; done += buffer.size()) {
    buffer.resize(std::min<std::uint64_t>(kReadBytes, size - done));
    TRY(ReadExactlyAt(fd, std::as_writable_bytes(std::span(buffer.data(), buffer.size())), from + done));
    TRY(take(buffer, done));
  }
  return {};
}

}  // namespace

Result<> Digests::Copy(const sif::Descriptor& object) {
  if (std::exchange(copied_, true)) return {};
  return ReadPieces(fd_, object.offset, object.size,
                    [&](std::string_view bytes, std::uint64_t at) -> Result<> {
                      TRY_CONTEXT(WriteAll(copy_fd_, bytes), "writing the copy");
                      // Whoever flushes it in the end should not wait for all of it then.
                      ::sync_file_range(copy_fd_, static_cast<off64_t>(at),
                                        static_cast<off64_t>(bytes.size()), SYNC_FILE_RANGE_WRITE);
                      return {};
                    });
}

Result<std::string> Digests::OfBytes(const sif::Descriptor& object, std::string_view hash) {
  auto [found, is_new] = bytes_.try_emplace({object.id, std::string(hash)});
  if (!is_new) return found->second;
  Hasher hasher = TRY(Hasher::Of(hash));
  bool from_copy = IsCopied(object);
  if (from_copy) TRY(Copy(object));
  TRY(ReadPieces(from_copy ? copy_fd_ : fd_, from_copy ? 0 : object.offset, object.size,
                 [&](std::string_view bytes, std::uint64_t) {
                   hasher.Update(bytes);
                   return Result<>();
                 }));
  return found->second = hasher.Finish();
}

Result<bool> Digests::HasDigest(const sif::Descriptor& object, const std::string& digest) {
  if (!unread_ || !IsCopied(object) || HashOf(digest) != "sha256")
    return TRY(OfBytes(object, HashOf(digest))) == digest;
  TRY(Copy(object));
  if (promised_.empty()) promised_ = digest;
  return promised_ == digest;
}

Result<std::vector<sif::Descriptor>> GroupObjects(const sif::Image& image, std::uint32_t group) {
  std::vector<sif::Descriptor> objects;
  for (const sif::Descriptor& d : image.descriptors) {
    if (group != 0 && d.group == group) objects.push_back(d);
  }
  if (objects.empty()) return Fail(Code::kNotFound, "there is no group ", group);
  std::sort(objects.begin(), objects.end(), [](auto& a, auto& b) { return a.id < b.id; });
  return objects;
}

Result<Metadata> MakeMetadata(Digests& digests, const sif::Image& image, std::uint32_t group) {
  Metadata metadata;
  metadata.header = TRY(digests.OfHeader("sha256"));
  std::uint32_t lowest = TRY(LowestId(image, group));
  for (const sif::Descriptor& d : TRY(GroupObjects(image, group))) {
    metadata.objects.push_back({d.id - lowest, TRY(digests.OfDescriptor(d, d.id - lowest, "sha256")),
                                TRY(digests.OfBytes(d, "sha256"))});
  }
  return metadata;
}

Result<std::vector<std::uint32_t>> CheckMetadata(const Metadata& metadata, Digests& digests,
                                                 const sif::Image& image, std::uint32_t group) {
  if (TRY(digests.OfHeader(HashOf(metadata.header))) != metadata.header)
    return Fail(Code::kDataLoss, "the file's header is not the one that was signed");
  std::uint32_t lowest = TRY(LowestId(image, group));
  std::vector<std::uint32_t> ids;
  for (const Metadata::Object& signed_object : metadata.objects) {
    std::uint32_t id = lowest + signed_object.relative_id;
    auto found = std::find_if(image.descriptors.begin(), image.descriptors.end(),
                              [&](const sif::Descriptor& d) { return d.id == id && d.group == group; });
    if (found == image.descriptors.end())
      return Fail(Code::kDataLoss, "object ", id, " of group ", group,
                  " was signed and is not there any more");
    if (TRY(digests.OfDescriptor(*found, signed_object.relative_id, HashOf(signed_object.descriptor))) !=
        signed_object.descriptor)
      return Fail(Code::kDataLoss, "object ", id, "'s descriptor is not the one that was signed");
    if (!TRY(digests.HasDigest(*found, signed_object.bytes)))
      return Fail(Code::kDataLoss, "object ", id, "'s bytes are not those that were signed");
    ids.push_back(id);
  }
  return ids;
}

}  // namespace slipway::trust
