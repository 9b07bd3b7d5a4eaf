// SPDX-License-Identifier: Apache-2.0
// starter.conf is root's, but what a privileged program makes of a broken one must be an error with its line.
#include <cstdint>
#include <string_view>

#include "launcher/spec/starter_conf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  auto conf = ParseConf({reinterpret_cast<const char*>(data), size});
  if (!conf) {
    CHECK(conf.error().message.starts_with("line "));
    return 0;
  }
  for (const std::string& path : {conf->run_dir, conf->state_dir, conf->image_dir, conf->controller_key,
                                  conf->stepd, conf->import, conf->broker, conf->holder_socket})
    CHECK(path.starts_with('/') && path.find('\0') == std::string::npos);
  for (const std::string& path : conf->container.limit_paths) CHECK(path.starts_with('/'));
  for (const std::string& path : conf->container.forbidden_binds) CHECK(path.starts_with('/'));
  for (const std::string& bind : conf->container.binds) CHECK(bind.starts_with('/'));
  return 0;
}
