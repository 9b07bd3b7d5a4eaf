// SPDX-License-Identifier: Apache-2.0
// `slipway exec FILE` believes what these say about where in a user's file a file system lies.
#include <cstdint>
#include <string_view>

#include "base/os/fd.h"
#include "launcher/client/sif_partitions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  auto file = MakeSealedMemfd("sif", std::string_view(reinterpret_cast<const char*>(data), size));
  CHECK(file);
  auto partitions = ReadSifPartitions(file->get(), size, "a.sif");
  if (!partitions) {
    CHECK(!partitions.error().message.empty());
    return 0;
  }
  for (const SifPartition& partition : *partitions)
    CHECK(partition.offset <= size && partition.size <= size - partition.offset);
  return 0;
}
