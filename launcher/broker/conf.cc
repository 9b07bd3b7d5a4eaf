// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/conf.h"

#include <unistd.h>

#include <utility>

namespace slipway {
Result<BrokerConf> LoadConf(const std::string& path, uid_t owner) {
  auto text = ReadTrustedFile(path, owner);
  if (!text && text.error().sys_errno == ENOENT) return ParseConf("");
  if (!text) return Failure(std::move(text).error());
  return TRY_CONTEXT(ParseConf(*text), path);
}

Result<BrokerConf> LoadNodeConf(const std::string& path) {
  BrokerConf conf = TRY(LoadConf(path));
  for (auto [key, missing] : {std::pair{"node", conf.node.empty()},
                              {"cluster", conf.cluster.empty()},
                              {"agent_uid", conf.agent_uid == kNoId}}) {
    if (missing) return Fail(Code::kInvalidArgument, path, ": the key ", key, " is missing");
  }
  return conf;
}

}  // namespace slipway
