// SPDX-License-Identifier: Apache-2.0
// What a program is made for, by the name that SIF and OCI give it.
#pragma once

#include <string>
#include <string_view>

namespace slipway::sif {

// "amd64" from the first bytes (64 are enough) of an ELF file; "unknown" for anything else.
std::string ElfArch(std::string_view head);

}  // namespace slipway::sif
