// SPDX-License-Identifier: Apache-2.0
// A CDI file, as YAML when its first byte is 'y', as JSON otherwise.
#include <cstddef>
#include <cstdint>

#include "hooks/cdi/cdi_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto spec = ParseCdi(text, data[0] == 'y');
  if (!spec) {
    CHECK(!spec.error().message.empty());
    return 0;
  }
  CHECK(!spec->devices.empty());
  for (const CdiDevice& device : spec->devices) {
    CHECK(ParseCdiName(Cat(spec->kind, "=", device.name)));
    for (const DeviceNode& node : device.edits.devices)
      CHECK(node.path.starts_with('/') && node.host_path.starts_with('/'));
    for (const Mount& mount : device.edits.mounts)
      CHECK(mount.source.starts_with('/') && mount.target.starts_with('/'));
    CHECK(CheckHooks(device.edits.hooks));
  }
  return 0;
}
