// SPDX-License-Identifier: Apache-2.0
// A signature of a stranger's image against the site's keys, and a site's file of keys.
#include <cstdint>

#include "imagestore/trust/site_keys.h"

namespace {

// A key of nobody's, whose secret half was thrown away.
constexpr char kKeys[] = R"(
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawieyBYJKwYBBAHaRw8BAQdAWW8Q/wUOa4nDKjD3qT5gyXnDPf1BxL3oLtaN
fKg1+na0G05vYm9keSA8bm9ib2R5QGV4YW1wbGUub3JnPoiQBBMWCAA4FiEEf7O9
LR0gnbo7noyJ3/uNyetqahoFAmsInsgCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgEC
F4AACgkQ3/uNyetqahqGmgD+PEVGDfVHWOOfolpudnKllxBbVKEwcoYTwnExfBQ9
2RABALFbgbHR/oSn/BmflZMTmrQiRHyrwCwxxw8qSXLgN0gK
=ttx6
-----END PGP PUBLIC KEY BLOCK-----
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAUrZiaHqKWCBIRps1mGCDh2A8VRB4VdoQsOz9x/70qN0=
-----END PUBLIC KEY-----
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  static auto* keys = new auto(trust::SiteKeys(kKeys).value());
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (auto& checker : *keys) {
    trust::Checked checked = checker->Check(text, sif::HashType::kSha256);
    CHECK(checked.state != trust::Checked::kGood || !checked.key.empty());
  }
  if (auto read = trust::SiteKeys(text)) {
    CHECK(!read->empty());
  }
  return 0;
}
