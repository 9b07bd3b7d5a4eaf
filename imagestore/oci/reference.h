// SPDX-License-Identifier: Apache-2.0
// Where an image comes from, as people write it: docker://HOST/NAME:TAG, oras://…, oci:DIR:TAG,
// oci-archive:FILE, docker-archive:FILE, http(s)://…. The grammar of names is the distribution project's; a
// name without a host is Docker Hub's.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway::oci {

enum class Scheme { kDocker, kOras, kOciDirectory, kOciArchive, kDockerArchive, kHttp };

struct Reference {
  Scheme scheme = Scheme::kDocker;
  std::string text;  // as written
  // docker, oras:
  std::string registry;    // "registry.example.org:5000"
  std::string repository;  // "hpc/mpi"
  std::string tag;         // "latest" when neither tag nor digest was written
  std::string digest;      // "sha256:…", or empty; wins over the tag
  // oci, oci-archive, docker-archive:
  std::string path, selector;  // the tag or name inside; empty: the only one
  // http:
  std::string url;

  std::string Name() const;      // "registry/repository"
  std::string Selected() const;  // digest or tag
};

// True for what ParseReference would take: a scheme it knows.
bool LooksLikeReference(std::string_view text);
// kInvalidArgument says what is wrong with it.
Result<Reference> ParseReference(std::string_view text);
// "debian_12.sif": what `pull` calls the file when no name is given.
std::string DefaultFileName(const Reference& reference);

}  // namespace slipway::oci
