// SPDX-License-Identifier: Apache-2.0
// What a node brings to a fence is the same few words once for each of its ranks, and passes many nodes on
// its way. It is compressed once, where it begins, where that pays (decision 72); who passes it on looks at
// its head only, and who wants it restores it. The first byte says whether it is compressed; nothing stays
// nothing.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

inline constexpr std::size_t kPackFromBytes = 512;  // less is carried as it is

std::string Pack(std::string_view plain);
// What Unpack will bring, by the head alone. kInvalidArgument: the head cannot be true.
Result<std::size_t> PlainBytes(std::string_view packed);
// Appends to `out`. kInvalidArgument: this is not what Pack makes, or of more than `plain_bytes_max`, for
// which nothing is allocated; `out` is as it was then.
Result<> Unpack(std::string_view packed, std::size_t plain_bytes_max, std::string& out);

}  // namespace slipway
