// SPDX-License-Identifier: Apache-2.0
// --nv, --rocm, --gpus and --device for GPUs: from what was asked to edits. A CDI file of the site that
// speaks of a vendor's GPUs wins over what we find ourselves.
#pragma once

#include "hooks/edits/request.h"

namespace slipway {

// Takes the GPUs' names out of request.devices that no CDI file speaks of, and adds to answer.edits and
// answer.warnings. Errors say which option, and why this host cannot.
Result<> AddGpus(EditsRequest& request, const std::vector<std::string>& cdi_folders, EditsAnswer& answer);

}  // namespace slipway
