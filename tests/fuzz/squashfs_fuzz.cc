// SPDX-License-Identifier: Apache-2.0
// What slipway-import does with a foreign squashfs, and a push to a registry that wants layers. libsquashfs
// is not ours, but its crashes would be: the import runs confined, and this shows how often it needs to be.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/tar_out.h"

// libsquashfs believes a file's size before it reads its list of blocks. In slipway-import a limit on memory
// makes such an allocation fail; here the allocator's own limit does.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=1024";
}

// libarchive 3.6 forgets its buffer when what it was given to write is an error that it calls fatal.
extern "C" const char* __lsan_default_suppressions() { return "leak:libarchive.so"; }

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  static std::string limit = "-malloc_limit_mb=100000000";
  static std::vector<char*> arguments(*argv, *argv + *argc);
  arguments.push_back(limit.data());
  *argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  *argv = arguments.data();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  UniqueFd in(::memfd_create("in", MFD_CLOEXEC)), out(::memfd_create("out", MFD_CLOEXEC));
  if (!in || !out || !WriteAll(in.get(), {reinterpret_cast<const char*>(data), size})) return 0;
  squashfs::PackOptions options;
  options.policy = squashfs::ImportPolicy();
  options.limits = {.entries_max = 1000, .bytes_max = 16 << 20, .depth_max = 50};
  options.workers = 1;
  (void)squashfs::Repack({in.get(), 0, size}, out.get(), options);
  (void)squashfs::WriteTarGz({in.get(), 0, size}, out.get(), options.limits);
  return 0;
}
