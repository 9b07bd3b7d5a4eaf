// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/push.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"
#include "base/text/units.h"
#include "imagestore/build/metadata.h"
#include "imagestore/oci/blob_cache.h"
#include "imagestore/oci/unprivileged.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/reader.h"
#include "imagestore/squashfs/tar_out.h"

namespace slipway::oci {

namespace {

using Json = nlohmann::ordered_json;

Json DescriptorJson(const std::string& media_type, const std::string& digest, std::uint64_t size) {
  return {{"mediaType", media_type}, {"digest", digest}, {"size", size}};
}

Result<std::string> PutTogether(Registry& registry, const Json& config, const char* config_type, Json layer,
                                const std::string& tag) {
  std::string config_text = config.dump();
  TRY(registry.PutSmallBlob(config_text));
  Json manifest = {{"schemaVersion", 2},
                   {"mediaType", kOciManifestType},
                   {"config", DescriptorJson(config_type, DigestOf(config_text), config_text.size())},
                   {"layers", Json::array({std::move(layer)})}};
  std::string text = manifest.dump();
  TRY(registry.PutManifest(text, kOciManifestType, tag));
  return DigestOf(text);
}

Result<std::string> PushSif(Registry& registry, int fd, const std::string& path, const std::string& tag) {
  std::uint64_t size = TRY(SizeOfFile(fd));
  std::string digest = TRY(DigestOfFile(fd));
  TRY(registry.PutBlob(fd, 0, size, digest));
  Json layer = DescriptorJson(kSifLayerType, digest, size);
  layer["annotations"] = {{"org.opencontainers.image.title", path.substr(path.rfind('/') + 1)}};
  return PutTogether(registry, Json::object(), kSifConfigType, std::move(layer), tag);
}

// What the image says of itself: the OCI configuration that it was made from, else its architecture and
// labels.
Result<Json> ConfigOf(int fd, const sif::Image& image, const squashfs::Reader& reader) {
  Json config = {{"architecture", image.header.arch}, {"os", "linux"}, {"config", Json::object()}};
  for (const sif::Descriptor& d : image.descriptors) {
    if (d.type != sif::DataType::kGenericJson || d.name != "oci-config.json") continue;
    auto original = Json::parse(TRY(sif::ReadObject(fd, d, 8 << 20)), nullptr, false);
    if (original.is_object() && original.contains("config") && original["config"].is_object())
      config["config"] = original["config"];
  }
  if (auto text = reader.ReadFile("/.singularity.d/labels.json", 1 << 20)) {
    if (auto labels = build::ParseLabels(*text)) config["config"]["Labels"] = *labels;
  }
  // A runscript does what ENTRYPOINT and CMD would.
  bool has_command = config["config"].contains("Entrypoint") || config["config"].contains("Cmd");
  if (!has_command && reader.Find("/.singularity.d/runscript"))
    config["config"]["Cmd"] = Json::array({"/.singularity.d/runscript"});
  return config;
}

Result<std::string> PushLayers(Registry& registry, int fd, const std::string& tag,
                               const PushOptions& options) {
  sif::Image image = TRY(sif::Read(fd));
  sif::Descriptor partition = TRY(sif::PrimarySystemPartition(image, fd));
  squashfs::Window window{fd, partition.offset, partition.size};
  auto read_config = [&](const auto&) -> Result<std::string> {
    squashfs::Reader reader = TRY(squashfs::Reader::Open(window));
    return TRY(ConfigOf(fd, image, reader)).dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  const auto* cancelled = options.registry.http.cancelled;
  Json config = Json::parse(TRY(Unprivileged({read_config, {}, cancelled})), nullptr, false);
  if (!config.is_object()) return Fail(Code::kInvalidArgument, "its configuration cannot be read");
  std::string folder = options.cache_folder.empty() ? TRY(BlobCache::DefaultFolder()) : options.cache_folder;
  UniqueFd layer = TRY(TRY(BlobCache::Open(folder)).Temporary());
  auto pack = [&](const auto&) -> Result<std::string> { return squashfs::WriteTarGz(window, layer.get()); };
  std::string diff_id = TRY(Unprivileged({pack, {}, cancelled}));
  if (!IsDigest(diff_id)) return Fail(Code::kInternal, "the layer has no digest");
  std::uint64_t size = TRY(SizeOfFile(layer.get()));
  std::string digest = TRY(DigestOfFile(layer.get()));
  TRY(registry.PutBlob(layer.get(), 0, size, digest));
  auto moment = std::chrono::system_clock::time_point(std::chrono::seconds(image.header.created));
  if (image.header.created > 0) config["created"] = FormatTime(moment);
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", Json::array({diff_id})}};
  return PutTogether(registry, config, kOciConfigType,
                     DescriptorJson("application/vnd.oci.image.layer.v1.tar+gzip", digest, size), tag);
}

}  // namespace

Result<std::string> Push(const std::string& path, const Reference& reference, const PushOptions& options) {
  if (reference.scheme != Scheme::kDocker && reference.scheme != Scheme::kOras)
    return Fail(Code::kInvalidArgument, reference.text, ": images are pushed to docker:// or oras://");
  if (reference.tag.empty())
    return Fail(Code::kInvalidArgument, reference.text, ": a digest cannot be chosen; name a tag");
  UniqueFd file = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  if (!sif::LooksLikeSif(file.get())) return Fail(Code::kInvalidArgument, path, ": is no SIF");
  TRY_CONTEXT(sif::Read(file.get()), path);
  Registry registry(reference, options.registry);
  if (reference.scheme == Scheme::kOras) return PushSif(registry, file.get(), path, reference.tag);
  return TRY_CONTEXT(PushLayers(registry, file.get(), reference.tag, options), path);
}

}  // namespace slipway::oci
