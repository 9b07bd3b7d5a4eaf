// SPDX-License-Identifier: Apache-2.0
// What a registry says of an image: an index of architectures, a manifest with layers, a configuration. It
// comes from strangers: decoded with bounds, kinds checked, digests demanded. Formats: OCI image-spec 1.1 and
// Docker's schema 2; schema 1, which has no digests worth the name, is refused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::oci {

struct Descriptor {
  std::string media_type, digest;
  std::uint64_t size = 0;
  std::string os, arch, variant;  // of an index' entries; empty: not said
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  bool is_index = false;
  std::vector<Descriptor> manifests;  // of an index
  Descriptor config;                  // of a manifest
  std::vector<Descriptor> layers;
};
inline constexpr std::size_t kManifestBytesMax = 4 << 20;
Result<Manifest> ParseManifest(std::string_view json);
std::vector<std::string> ManifestMediaTypes();  // for an Accept header

// The entry for this machine ("amd64"; "arm/v7" names a variant, too). kNotFound lists what there is.
Result<Descriptor> SelectPlatform(const Manifest& index, std::string_view arch);

struct ImageConfig {
  std::string os, arch, variant, created;
  std::vector<std::string> env, entrypoint, command;
  std::string working_directory, user;
  std::map<std::string, std::string> labels;
  std::vector<std::string> diff_ids;  // of the layers, uncompressed
};
Result<ImageConfig> ParseImageConfig(std::string_view json);

// What `docker save` puts into manifest.json: one entry for each image.
struct SavedImage {
  std::string config;  // a path in the archive
  std::vector<std::string> names, layers;
};
Result<std::vector<SavedImage>> ParseSavedImages(std::string_view json);

// A layer's kind, by its media type: a tar (compressed or not), a SIF, or neither.
bool IsTarLayer(std::string_view media_type);
bool IsSifLayer(std::string_view media_type);  // both spellings that are out there
inline constexpr char kSifLayerType[] = "application/vnd.sylabs.sif.layer.v1.sif";
inline constexpr char kSifConfigType[] = "application/vnd.sylabs.sif.config.v1+json";
inline constexpr char kOciManifestType[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciConfigType[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciIndexType[] = "application/vnd.oci.image.index.v1+json";

}  // namespace slipway::oci
