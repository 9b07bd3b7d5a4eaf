// SPDX-License-Identifier: Apache-2.0
// What is read of a host's driver: an ELF library when the first byte is 'e', a loader's cache otherwise.
#include <cstddef>
#include <cstdint>

#include "hooks/host/elf_library.h"
#include "hooks/host/loader_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'e') {
    auto library = ReadElfLibrary(bytes);
    if (library) {
      CHECK(library->versions.size() <= 1024 && library->needed.size() <= 1024);
    } else {
      CHECK(!library.error().message.empty());
    }
    return 0;
  }
  auto entries = ParseLoaderCache(bytes);
  if (!entries) CHECK(!entries.error().message.empty());
  return 0;
}
