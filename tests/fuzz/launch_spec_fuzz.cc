// SPDX-License-Identifier: Apache-2.0
// The container's init indexes with what a LaunchSpec says: whatever passes must be safe to index with.
#include <cstdint>
#include <string_view>

#include "launcher/spec/launch_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto spec = DecodeLaunchSpec(bytes);
  if (!spec) {
    CHECK(!spec.error().message.empty());
    return 0;
  }
  CHECK(EncodeLaunchSpec(*spec) == bytes);
  CHECK(!spec->argv.empty() && !spec->argv[0].empty() && !spec->tasks.empty());
  auto in_range = [&](std::int32_t fd) {
    return fd == -1 || (fd >= 0 && static_cast<std::uint32_t>(fd) < spec->fd_count);
  };
  CHECK(in_range(spec->image.fd));
  for (const Task& task : spec->tasks)
    CHECK(in_range(task.stdin_fd) && in_range(task.stdout_fd) && in_range(task.stderr_fd));
  auto in_a_file = [&](const ImageSource& image) {
    return (image.kind == ImageKind::kSquashfuse || image.kind == ImageKind::kFuse2fs) && image.fd >= 0 &&
           in_range(image.fd);
  };
  for (const Mount& mount : spec->mounts) {
    CHECK(mount.target.starts_with('/'));
    CHECK(mount.type != Mount::kImage || (in_a_file(mount.image) && mount.options.starts_with('/')));
  }
  const auto& overlays = spec->writing.overlays;
  for (const Overlay& overlay : overlays) {
    CHECK(in_a_file(overlay.image) ||
          (overlay.image.kind == ImageKind::kDirectory && !overlay.image.path.empty()));
    CHECK(!overlay.writable || (&overlay == &overlays.back() && !spec->writable_tmpfs));
  }
  CHECK(!spec->writing.in_place || (spec->image.kind == ImageKind::kDirectory && overlays.empty()));
  for (const InjectedFile& file : spec->files) CHECK(file.target.starts_with('/'));
  return 0;
}
