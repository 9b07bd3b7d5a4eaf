// SPDX-License-Identifier: Apache-2.0
// The keys whose signatures count at a site, in one text file: armoured PGP public keys and PEM public keys,
// one after the other. They are checked inside this process (librnp, libcrypto), for slipway-import may start
// no program once it looks at a stranger's file, as GnuPG's library would.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "imagestore/trust/signer.h"

namespace slipway::trust {

inline constexpr std::size_t kSiteKeysMax = 1 << 20;  // bytes of the file

// One Checker for all PGP keys, one for each PEM key. Text between the blocks is comment. kInvalidArgument
// names the block that is not a usable key; no block at all is one, too: a site that names a file of keys
// means some.
Result<std::vector<std::unique_ptr<Checker>>> SiteKeys(std::string_view text);

}  // namespace slipway::trust
