// SPDX-License-Identifier: Apache-2.0
// The settings by which a site says how it schedules: part of DaemonSettings (api/settings.h), in a file of
// their own because there are many. What they mean together is in docs/scheduling.md.
#pragma once

#include "base/config/config.h"

namespace slipway {

Settings SiteSettings();

}  // namespace slipway
