// SPDX-License-Identifier: Apache-2.0
// Where a host's libraries lie differs by distribution; its loader's cache (/etc/ld.so.cache) knows, and so
// does a fixed list of folders where there is none.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"
#include "hooks/host/host_tree.h"

namespace slipway {

inline constexpr std::size_t kLoaderCacheMax = 64 << 20;

// {name, path} of every entry of glibc's cache ("glibc-ld.so.cache1.1", alone or behind the older table), at
// most 1,000,000. Pure; kInvalidArgument for anything else.
Result<std::vector<std::pair<std::string, std::string>>> ParseLoaderCache(std::string_view bytes);

// The folders in which that host's loader would find something: those of its cache, each once and in its
// order, then the usual ones. /usr/local/nvidia, where hosts of cloud providers keep a driver that came after
// their system, is one of them though no loader's cache names it. As on that host.
std::vector<std::string> LibraryFolders(const HostTree& host);

}  // namespace slipway
