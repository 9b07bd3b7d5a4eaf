// SPDX-License-Identifier: Apache-2.0
// A SIF that a user hands in: whatever its bytes are, the reader refuses it or stays inside it.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "imagestore/sif/show.h"
#include "imagestore/sif/sif.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  UniqueFd fd(::memfd_create("sif", MFD_CLOEXEC));
  if (!fd || !WriteAll(fd.get(), {reinterpret_cast<const char*>(data), size})) return 0;
  auto image = sif::Read(fd.get());
  if (!image) return 0;
  CHECK(!sif::ListText(*image).empty() && !sif::HeaderText(*image).empty());
  for (const sif::Descriptor& object : image->descriptors) {
    CHECK(object.offset <= size && object.size <= size - object.offset);
    CHECK(!sif::InfoText(object).empty());
    auto bytes = sif::ReadObject(fd.get(), object, 1 << 20);
    CHECK(bytes || object.size > 1 << 20);
  }
  auto partition = sif::PrimarySystemPartition(*image, fd.get());
  CHECK(!partition || partition->size >= 4);
  return 0;
}
