// SPDX-License-Identifier: Apache-2.0
#include "cli/edits/image_libraries.h"

#include <fcntl.h>

#include <functional>

#include "hooks/host/elf_library.h"
#include "hooks/host/host_tree.h"
#include "imagestore/content/mpi_library.h"
#include "imagestore/squashfs/reader.h"

namespace slipway {
namespace {

constexpr std::size_t kLibcMax = 16 << 20, kNamesMax = 4096;

// A file of the image, and the names in a folder of it.
struct Image {
  std::function<Result<std::string>(const std::string& path)> read;
  std::function<std::vector<std::string>(const std::string& folder)> names;
};

std::string LibcOf(const Image& image) {
  for (const char* path : {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6",
                           "/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6"}) {
    auto bytes = image.read(path);
    if (!bytes) continue;
    std::string version = content::GlibcVersion(*bytes);
    if (!version.empty()) return Cat("glibc ", version);
  }
  for (const std::string& name : image.names("/lib")) {
    if (name.starts_with("ld-musl-")) return "musl";
  }
  return {};
}

// "libcuda.so.560.28.03"; the newest of several.
std::string CompatOf(const Image& image) {
  constexpr std::string_view kPrefix = "libcuda.so.";
  std::string newest;
  for (const std::string& name : image.names(kCudaCompat)) {
    std::string version = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "";
    if (version.find('.') != std::string::npos && OlderVersion(newest, version)) newest = version;
  }
  return newest;
}

ImageLibraries Look(const Image& image) { return {LibcOf(image), CompatOf(image)}; }

ImageLibraries LookIntoDirectory(const std::string& path) {
  auto tree = HostTree::At(path);
  if (!tree) return {};
  return Look({[&](const std::string& file) { return tree->Read(file, kLibcMax); },
               [&](const std::string& folder) { return tree->Names(folder); }});
}

Result<ImageLibraries> LookIntoSquashfs(const GpuWish& wish) {
  UniqueFd fd = TRY(Open(wish.image_path, O_RDONLY | O_NONBLOCK));
  auto reader = TRY(squashfs::Reader::Open({fd.get(), wish.image_offset, wish.image_bytes}));
  return Look({[&](const std::string& file) { return reader.ReadFile(file, kLibcMax); },
               [&](const std::string& folder) {
                 return reader.List(folder, kNamesMax).value_or(std::vector<std::string>{});
               }});
}

}  // namespace

ImageLibraries LibrariesOfImage(const GpuWish& wish) {
  if (wish.image_path.empty()) return {};
  if (wish.image_is_directory) return LookIntoDirectory(wish.image_path);
  return LookIntoSquashfs(wish).value_or(ImageLibraries{});
}

}  // namespace slipway
