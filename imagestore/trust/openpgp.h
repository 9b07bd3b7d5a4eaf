// SPDX-License-Identifier: Apache-2.0
// Clear-signed texts checked by librnp in this very process, against keys that were handed over: no keyring,
// no agent, no program, no file. What counts is what counts in pgp.h.
#pragma once

#include <memory>
#include <string_view>

#include "imagestore/trust/signer.h"

namespace slipway::trust {

// Armoured public keys, one block after the other; at least one. Everything that needs files or the kernel's
// help is done by the time this returns.
Result<std::unique_ptr<Checker>> OpenPgpChecker(std::string_view armoured_keys);

}  // namespace slipway::trust
