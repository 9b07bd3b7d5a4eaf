// SPDX-License-Identifier: Apache-2.0
// The settings of slipwayd and slipway-agent: one file, /etc/slipway/slipway.toml (then conf.d/*.toml beside
// it), so that a site can keep the same one on all hosts. What each means is said in settings.cc, where it is
// declared.
#pragma once

#include <string>

#include "base/config/config.h"

namespace slipway {

const Settings& DaemonSettings();
// `file`, then DIR/conf.d/*.toml of the folder that it is in, by name. kNotFound when `file` does not exist.
Result<Config> LoadDaemonConfig(const std::string& file);
// Sets base/log from [log]; before other threads start.
void ApplyLogSettings(const Config& config, const std::string& program);

}  // namespace slipway
