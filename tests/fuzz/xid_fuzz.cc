// SPDX-License-Identifier: Apache-2.0
// Records of the kernel's log, into which others write, too.
#include <cstdint>

#include "base/result/result.h"
#include "hooks/gpu/xid.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view record(reinterpret_cast<const char*>(data), size);
  auto xid = ParseXid(record);
  if (xid) {
    CHECK(xid->pci.size() == 12 && xid->pci.ends_with(".0"));
    CHECK(ParseXid("NVRM: Xid (PCI:" + xid->pci + "): " + std::to_string(xid->number)) == xid);
  }
  XidList list;
  list.Note(record);
  CHECK(list.fatal().empty() || (xid && FatalXid(xid->number) != nullptr));
  return 0;
}
