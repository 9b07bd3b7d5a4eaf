// SPDX-License-Identifier: Apache-2.0
// What a user's file holds, told from its first bytes: root file systems, data and overlays are told apart by
// the same marks. Every number of the file is checked against its size before it is believed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/client/sif_partitions.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// The first bytes of a file, 2048 at most.
Result<std::string> ReadOpening(int fd, std::uint64_t size);

// The superblock at `offset`: the magic, and the length that it claims within the `size` bytes there are.
// `where` begins the words of an error.
Result<> CheckSquashfs(int fd, std::uint64_t offset, std::uint64_t size, const std::string& where);

// The file system of a partition, checked, as a source on the spec's descriptor 0.
Result<ImageSource> SourceOf(int fd, const SifPartition& partition, const std::string& where);

// "an ext3 file system; …": why a partition of that type cannot be used, and what would do.
std::string FileSystemName(std::uint64_t type);

bool IsExt(std::string_view opening);
// A guess at what somebody took for an image.
std::string WhatItIs(std::string_view opening);

}  // namespace slipway
