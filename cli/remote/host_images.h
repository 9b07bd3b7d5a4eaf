// SPDX-License-Identifier: Apache-2.0
// `exec --import` puts images into the host's root-owned store. Where an agent runs, it bounds them
// (agent.image_cache); on a login node or a workstation nobody does, and whoever has root there says
// `slipway image gc --host`. Where a broker serves it is asked, for it holds mounts; elsewhere (the setuid
// way alone) the files are taken away here.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/starter_conf.h"

namespace slipway::cli {

struct HostGarbageRule {
  std::int64_t now_ms = 0;      // since 1970
  std::int64_t unused_ms = 0;   // who was not used for so long goes
  std::uint64_t bytes_max = 0;  // what is left takes up at most so much: used longest ago first; 0: no bound
  std::set<std::string> named;  // digests that root gave a name: they stay
};
// What was used within so long stays in any case: its container may be about to start.
inline constexpr std::int64_t kHostImageStaysMs = 10 * 60 * 1000;
// Pure. In the order in which they should go.
std::vector<StoredImage> HostGarbage(std::vector<StoredImage> images, const HostGarbageRule& rule);

class HostImages {
 public:
  explicit HostImages(BrokerConf conf) : conf_(std::move(conf)) {}
  // Root, or the agent's account where a broker runs; kPermissionDenied for others.
  Result<std::vector<StoredImage>> List();
  Result<std::set<std::string>> Named() const;
  struct Outcome {
    std::vector<StoredImage> gone;
    std::vector<std::string> kept;  // why others were not to be had, one line each: a step uses them
  };
  // A kill in between leaves whole images, or files that are none and go at the next time.
  Result<Outcome> Remove(const std::vector<StoredImage>& images);

 private:
  BrokerConf conf_;
};

}  // namespace slipway::cli
