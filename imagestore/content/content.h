// SPDX-License-Identifier: Apache-2.0
// What is inside an image, as far as a cluster and a security officer want to know: architecture, C library,
// MPI and how it can be launched, CUDA, the packages. Found by reading the file system, never by running
// anything of it. All of it is the image's own word: it helps people and refuses what cannot work; nobody is
// trusted for it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/wire/wire.h"

namespace slipway::content {

struct Package {
  std::string kind;  // "dpkg", "rpm", "apk", "pip", "conda"
  std::string name, version;
  std::string arch;  // as its kind writes it; empty for pip
  auto operator<=>(const Package&) const = default;
};
void Fields(auto& archive, IsA<Package> auto& v) { archive(v.kind, v.name, v.version, v.arch); }

struct Mpi {
  std::string family;        // "Open MPI", "MPICH", "Intel MPI", "MVAPICH", "Cray MPICH", "unknown MPI"
  std::string version;       // empty: not found out
  std::string path;          // of its library: "usr/lib/x86_64-linux-gnu/libmpi.so.40.30.4"
  std::string pmix_version;  // of the PMIx that it brings or uses; empty: not known
  bool pmix = false, pmi2 = false, pmi1 = false;  // what it can be started by
};
void Fields(auto& archive, IsA<Mpi> auto& v) {
  archive(v.family, v.version, v.path, v.pmix_version, v.pmix, v.pmi2, v.pmi1);
}

struct Content {
  std::uint32_t format = 1;
  std::string arch;    // "amd64", "arm64", … as SIF and OCI write it; empty: no program was found
  std::string system;  // PRETTY_NAME of os-release
  std::string libc;    // "glibc 2.36", "musl 1.2.4"
  std::string pmix;    // version of the image's own libpmix
  std::string cuda;    // version of the CUDA runtime
  std::vector<Mpi> mpi;
  std::vector<Package> packages;  // sorted, each once
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::string> notes;  // what could not be read, one plain sentence each
};
void Fields(auto& archive, IsA<Content> auto& v) {
  archive(v.format, v.arch, v.system, v.libc, v.pmix, v.cuda, v.mpi, v.packages, v.labels, v.notes);
}

inline constexpr std::size_t kContentBytesMax = 16 << 20, kPackagesMax = 100'000, kTextMax = 512,
                             kLabelsMax = 1000, kMpisMax = 32, kNotesMax = 32;

// Texts cut to kTextMax, control characters replaced, lists to their limits, packages sorted: what it gives
// passes DecodeContent.
Content Bounded(Content content);
std::string EncodeContent(const Content& content);
// From a process that had the image's bytes in its hands: kInvalidArgument for anything that Bounded would
// not have given.
Result<Content> DecodeContent(std::string_view bytes);

}  // namespace slipway::content
