// SPDX-License-Identifier: Apache-2.0
// A recipe that names no mirror means "where this host gets its packages": a site's mirror, proxy and keys
// are in its apt configuration already, and a name in a recipe would be wrong elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::build {

// "deb [signed-by=…] URI suite components" for `suite`, its updates and its security updates, from
// sources.list and sources.list.d below `apt_directory`. When the host has another suite: its first mirror
// with `suite`, main. kNotFound when the host names no mirror at all.
Result<std::vector<std::string>> HostAptLines(const std::string& suite,
                                              const std::string& apt_directory = "/etc/apt");

// One file's binary repositories in that form; both of apt's formats.
std::vector<std::string> ParseOneLineSources(std::string_view text);
std::vector<std::string> ParseDeb822Sources(std::string_view text);

}  // namespace slipway::build
