// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/overlay_options.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/text/text.h"
#include "launcher/client/data_file.h"

namespace slipway {
namespace {

std::string PathOf(const std::string& argument) {
  bool has_mode = argument.ends_with(":ro") || argument.ends_with(":rw");
  return argument.substr(0, argument.size() - (has_mode ? 3 : 0));
}

// Of one --overlay argument; several where a SIF has several.
Result<std::vector<Overlay>> OpenOverlay(const std::string& argument, SpecFiles& files) {
  std::string path = PathOf(argument);
  bool read_only = argument.ends_with(":ro");
  if (path.empty()) return Fail(Code::kInvalidArgument, "--overlay '", argument, "' is not PATH[:ro]");
  struct stat info {};
  if (::stat(path.c_str(), &info) < 0) return ErrnoFail("--overlay", path);
  if (S_ISDIR(info.st_mode)) {
    char* resolved = ::realpath(path.c_str(), nullptr);
    Overlay overlay{.name = path, .writable = !read_only};
    overlay.image.kind = ImageKind::kDirectory;
    overlay.image.path = resolved != nullptr ? resolved : path;
    std::free(resolved);
    return std::vector{overlay};
  }
  FileSystemFile found = TRY_CONTEXT(OpenOverlayFile(path, !read_only), "--overlay");
  std::int32_t fd = files.Add(std::move(found.file));
  std::vector<Overlay> overlays;
  for (ImageSource source : found.sources) {
    source.fd = fd;
    overlays.push_back({.image = source, .name = path, .writable = found.writable});
  }
  return overlays;
}

bool IsFuse2fs(const ImageSource& source) { return source.kind == ImageKind::kFuse2fs; }

Result<> CheckInPlace(const ImageFile& image, const WriteOptions& options) {
  if (image.what != "directory") {
    return Fail(
        Code::kInvalidArgument, "--writable: ", image.path, " is a ", image.what,
        ", which nothing can change; use --overlay DIR to keep changes beside it, --writable-tmpfs to "
        "lose them at the end, or build a directory from it");
  }
  if (options.tmpfs || !options.overlays.empty())
    return Fail(Code::kInvalidArgument, "--writable changes the image itself: it cannot go with ",
                options.tmpfs ? "--writable-tmpfs" : "--overlay", "; leave one of them");
  return {};
}

Result<> CheckTmpfsSize(const std::string& size) {
  auto digits = size.find_first_not_of("0123456789");
  bool some = size.find_first_of("123456789") != std::string::npos;  // 0 would be no bound at all
  bool good = some && (digits == std::string::npos ||
                       (digits > 0 && digits + 1 == size.size() &&
                        std::string_view("kKmMgG%").find(size[digits]) != std::string_view::npos));
  if (good) return {};
  return Fail(Code::kInvalidArgument, "--tmpfs-size '", size.substr(0, 64),
              "' is not a size: bytes, or a number with k, m, g or % (of memory)");
}

}  // namespace

bool ChangesImage(const WriteOptions& options) {
  return options.tmpfs || std::ranges::any_of(options.overlays, [](const std::string& overlay) {
           return !overlay.ends_with(":ro");
         });
}

std::string WhyOwnNamespace(const ImageFile& image, const WriteOptions& options) {
  constexpr const char* kWhy =
      " is an ext3 file system, served by programs with rights that only a namespace of your own gives";
  if (std::any_of(image.overlays.begin(), image.overlays.end(), IsFuse2fs))
    return Cat("an overlay of ", image.path, kWhy);
  for (const std::string& argument : options.overlays) {
    for (const std::string& one : Split(argument, ',')) {
      if (HoldsExtOverlay(PathOf(one))) return Cat("--overlay ", PathOf(one), kWhy);
    }
  }
  return {};
}

Result<> SetWriting(const ImageFile& image, const WriteOptions& options, SpecFiles& files, LaunchSpec& spec) {
  if (options.in_place) TRY(CheckInPlace(image, options));
  if (!options.tmpfs_size.empty()) TRY(CheckTmpfsSize(options.tmpfs_size));
  spec.writable_tmpfs = options.tmpfs;
  spec.writing.in_place = options.in_place;
  spec.writing.tmpfs_size = options.tmpfs_size;
  std::vector<Overlay>& overlays = spec.writing.overlays;
  for (const ImageSource& source : image.overlays)
    overlays.push_back({.image = source, .name = Cat(image.path, " (its own overlay)")});
  for (const std::string& argument : options.overlays) {
    for (const std::string& one : Split(argument, ',')) {
      std::vector<Overlay> opened = TRY(OpenOverlay(one, files));
      overlays.insert(overlays.end(), opened.begin(), opened.end());
    }
  }
  auto is_writable = [](const Overlay& overlay) { return overlay.writable; };
  auto writable = std::count_if(overlays.begin(), overlays.end(), is_writable);
  if (writable > 1)
    return Fail(Code::kInvalidArgument,
                "--overlay: only one can be written to; say of the others that they are read (:ro)");
  if (writable == 1 && options.tmpfs)
    return Fail(Code::kInvalidArgument,
                "--writable-tmpfs and a writable --overlay: changes can go to one place; "
                "leave the first, or add :ro to the second");
  [[maybe_unused]] auto upper =
      std::stable_partition(overlays.begin(), overlays.end(), [&](const Overlay& o) { return !o.writable; });
  return {};
}

}  // namespace slipway
