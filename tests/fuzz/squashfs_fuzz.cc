// SPDX-License-Identifier: Apache-2.0
// What slipway-import does with a foreign squashfs. libsquashfs is not ours, but its crashes would be: the import
// runs confined, and this shows how often it needs to be.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/os/fd.h"
#include "imagestore/squashfs/pack.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  UniqueFd in(::memfd_create("in", MFD_CLOEXEC)), out(::memfd_create("out", MFD_CLOEXEC));
  if (!in || !out || !WriteAll(in.get(), {reinterpret_cast<const char*>(data), size})) return 0;
  squashfs::PackOptions options;
  options.policy = squashfs::ImportPolicy();
  options.limits = {.entries_max = 1000, .bytes_max = 16 << 20, .depth_max = 50};
  options.workers = 1;
  (void)squashfs::Repack({in.get(), 0, size}, out.get(), options);
  return 0;
}
