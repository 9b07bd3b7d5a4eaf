// SPDX-License-Identifier: Apache-2.0
// A SIF as people read it, in the words and columns of `apptainer sif`.
#pragma once

#include <string>

#include "imagestore/sif/sif.h"

namespace slipway::sif {

std::string ListText(const Image& image);  // the table, one object a line
std::string HeaderText(const Image& image);
std::string InfoText(const Descriptor& descriptor);
std::string UuidText(const Header& header);  // empty for all zero
// "2026-11-23 03:36:30 UTC"; empty for Go's zero time.
std::string TimeText(std::int64_t seconds);

}  // namespace slipway::sif
