// SPDX-License-Identifier: Apache-2.0
// A SIF's table for programs: one JSON object, sizes in bytes, times in seconds since 1970.
#pragma once

#include <string>

#include "imagestore/sif/sif.h"

namespace slipway::cli {

std::string SifJson(const sif::Image& image);  // {"header": {…}, "objects": […]}
std::string SifObjectJson(const sif::Descriptor& object);

}  // namespace slipway::cli
