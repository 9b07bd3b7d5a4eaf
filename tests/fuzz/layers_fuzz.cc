// SPDX-License-Identifier: Apache-2.0
// Tars from a registry, merged and packed: whatever they hold, a squashfs comes out that our own reader
// opens, or an error. The input's first byte says where it is cut into two layers.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/os/fd.h"
#include "imagestore/squashfs/reader.h"
#include "imagestore/squashfs/stream_pack.h"

// libsquashfs forgets queued blocks when a pack is given up; the programs that pack end then.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  if (size < 2) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::size_t cut = std::min(bytes.size(), bytes.size() * data[0] / 255 / 512 * 512);
  UniqueFd in(::memfd_create("layers", MFD_CLOEXEC)), out(::memfd_create("out", MFD_CLOEXEC));
  if (!in || !out || !WriteAll(in.get(), bytes)) return 0;
  int fd = in.get();
  auto layer = [fd](std::uint64_t offset, std::uint64_t length) {
    return squashfs::Layer{"layer", [=]() -> Result<std::unique_ptr<squashfs::ByteSource>> {
                             return squashfs::FilePart(fd, offset, length);
                           }};
  };
  squashfs::LayerPackOptions options;
  options.pack.workers = 1;
  options.pack.limits = {.entries_max = 2000, .bytes_max = 1 << 20, .depth_max = 64};
  auto packed = squashfs::PackLayers({layer(0, cut), layer(cut, bytes.size() - cut)}, out.get(), options);
  if (packed) CHECK(squashfs::Reader::Open({out.get(), 0, packed->bytes_out}));
  return 0;
}
