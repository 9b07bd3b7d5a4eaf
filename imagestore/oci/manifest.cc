// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/manifest.h"

#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"

namespace slipway::oci {

namespace {

using Json = nlohmann::json;
constexpr std::size_t kLayersMax = 4096, kListMax = 16384;
constexpr std::uint64_t kBlobMax = std::uint64_t{1} << 42;
constexpr char kDockerManifest[] = "application/vnd.docker.distribution.manifest.v2+json";
constexpr char kDockerIndex[] = "application/vnd.docker.distribution.manifest.list.v2+json";

template <class... Pieces>
Failure Bad(const Pieces&... pieces) {
  return Fail(Code::kInvalidArgument, "not a usable image: ", pieces...);
}

std::string TextIn(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::map<std::string, std::string> MapIn(const Json& object, const char* key) {
  std::map<std::string, std::string> made;
  auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_object()) return made;
  for (auto& [name, value] : found->items()) {
    if (value.is_string() && made.size() < kListMax) made[name] = value.get<std::string>();
  }
  return made;
}

std::vector<std::string> ListIn(const Json& object, const char* key) {
  std::vector<std::string> made;
  auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_array()) return made;
  for (const Json& value : *found) {
    if (value.is_string() && made.size() < kListMax) made.push_back(value.get<std::string>());
  }
  return made;
}

Result<Descriptor> DescriptorOf(const Json& json) {
  Descriptor made;
  made.media_type = TextIn(json, "mediaType");
  made.digest = TextIn(json, "digest");
  if (!IsDigest(made.digest)) return Bad("a descriptor's digest is not sha256 or malformed");
  auto size = json.find("size");
  if (size == json.end() || !size->is_number_unsigned() || size->get<std::uint64_t>() > kBlobMax)
    return Bad("a descriptor has no usable size");
  made.size = size->get<std::uint64_t>();
  made.annotations = MapIn(json, "annotations");
  if (auto platform = json.find("platform"); platform != json.end()) {
    made.os = TextIn(*platform, "os");
    made.arch = TextIn(*platform, "architecture");
    made.variant = TextIn(*platform, "variant");
  }
  return made;
}

Result<std::vector<Descriptor>> DescriptorsIn(const Json& json, const char* key) {
  auto list = json.find(key);
  if (list == json.end() || !list->is_array()) return Bad("no list of ", key);
  if (list->size() > kLayersMax) return Bad("it lists ", list->size(), " ", key, " (limit ", kLayersMax, ")");
  std::vector<Descriptor> made;
  for (const Json& one : *list) made.push_back(TRY(DescriptorOf(one)));
  return made;
}

}  // namespace

std::vector<std::string> ManifestMediaTypes() {
  return {kOciManifestType, kOciIndexType, kDockerManifest, kDockerIndex};
}

Result<Manifest> ParseManifest(std::string_view text) {
  if (text.size() > kManifestBytesMax) return Bad("its manifest has ", text.size(), " bytes");
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Bad("its manifest is no JSON object");
  auto version = json.find("schemaVersion");
  if (version == json.end() || !version->is_number_integer() || version->get<std::int64_t>() != 2)
    return Bad("its manifest is not of schema 2 (old Docker images must be pushed again by a newer Docker)");
  std::string media_type = TextIn(json, "mediaType");
  bool has_list = json.contains("manifests"), has_layers = json.contains("layers");
  // One text that is both would be read differently by different readers.
  if (has_list && has_layers) return Bad("its manifest is an index and an image at once");
  Manifest manifest;
  manifest.is_index = has_list;
  bool says_index = media_type == kDockerIndex || media_type == kOciIndexType;
  if (!media_type.empty() && says_index != manifest.is_index)
    return Bad("its manifest is not what its type says");
  if (manifest.is_index) {
    manifest.manifests = TRY(DescriptorsIn(json, "manifests"));
    return manifest;
  }
  auto config = json.find("config");
  if (config == json.end() || !config->is_object()) return Bad("its manifest has no config");
  manifest.config = TRY(DescriptorOf(*config));
  manifest.layers = TRY(DescriptorsIn(json, "layers"));
  return manifest;
}

Result<Descriptor> SelectPlatform(const Manifest& index, std::string_view wanted) {
  std::string arch(wanted.substr(0, wanted.find('/')));
  std::string variant = wanted.size() > arch.size() ? std::string(wanted.substr(arch.size() + 1)) : "";
  std::string known;
  const Descriptor* any_variant = nullptr;
  for (const Descriptor& one : index.manifests) {
    bool is_attestation = one.os == "unknown" || one.arch == "unknown";
    if (is_attestation) continue;
    std::string name = Cat(one.os.empty() ? "?" : one.os, "/", one.arch.empty() ? "?" : one.arch,
                           one.variant.empty() ? "" : "/", one.variant);
    if (known.size() < 300) known += Cat(known.empty() ? "" : ", ", name);
    if ((!one.os.empty() && one.os != "linux") || one.arch != arch) continue;
    if (one.variant == variant || (arch == "arm64" && variant.empty() && one.variant == "v8")) return one;
    if (any_variant == nullptr && variant.empty()) any_variant = &one;
  }
  if (any_variant != nullptr) return *any_variant;
  // An archive of one image may not say for whom it is; its config does.
  if (index.manifests.size() == 1 && index.manifests[0].arch.empty()) return index.manifests[0];
  return Fail(Code::kNotFound, "the image is not there for linux/", std::string(wanted), "; there is ",
              known.empty() ? "nothing" : known);
}

Result<ImageConfig> ParseImageConfig(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Bad("its config is no JSON object");
  ImageConfig config;
  config.os = TextIn(json, "os");
  config.arch = TextIn(json, "architecture");
  config.variant = TextIn(json, "variant");
  config.created = TextIn(json, "created");
  if (auto rootfs = json.find("rootfs"); rootfs != json.end()) config.diff_ids = ListIn(*rootfs, "diff_ids");
  for (const std::string& id : config.diff_ids) {
    if (!IsDigest(id)) return Bad("a layer's uncompressed digest is malformed");
  }
  auto inner = json.find("config");
  if (inner == json.end() || !inner->is_object()) return config;
  config.env = ListIn(*inner, "Env");
  config.entrypoint = ListIn(*inner, "Entrypoint");
  config.command = ListIn(*inner, "Cmd");
  config.working_directory = TextIn(*inner, "WorkingDir");
  config.user = TextIn(*inner, "User");
  config.labels = MapIn(*inner, "Labels");
  return config;
}

Result<std::vector<SavedImage>> ParseSavedImages(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_array() || json.size() > kLayersMax) return Bad("manifest.json is no list of images");
  std::vector<SavedImage> images;
  for (const Json& one : json) {
    SavedImage image{TextIn(one, "Config"), ListIn(one, "RepoTags"), ListIn(one, "Layers")};
    if (image.config.empty() || image.layers.size() > kLayersMax) return Bad("manifest.json is incomplete");
    images.push_back(std::move(image));
  }
  return images;
}

bool IsSifLayer(std::string_view media_type) {
  return media_type == kSifLayerType || media_type == "appliciation/vnd.sylabs.sif.layer.tar" ||
         media_type == "application/vnd.sylabs.sif.layer.tar";
}

bool IsTarLayer(std::string_view media_type) {
  constexpr std::string_view kTars[] = {
      "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar",
      "application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.foreign.diff.tar"};
  for (std::string_view tar : kTars) {
    if (!media_type.starts_with(tar)) continue;
    std::string_view rest = media_type.substr(tar.size());
    if (rest.empty() || rest == "+gzip" || rest == "+zstd" || rest == ".gzip" || rest == ".zstd") return true;
  }
  return false;
}

}  // namespace slipway::oci
