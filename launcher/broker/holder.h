// SPDX-License-Identifier: Apache-2.0
// The namespaces of jobs and the image mounts must outlive the broker, and the kernel keeps them only while
// somebody has them open. That somebody is slipway-holder: it makes the mount namespace that the broker then
// works in, keeps descriptors under names, gives them back to the next broker, and does nothing else that
// could make it fail.
//
// Protocol: one SEQPACKET request, one answer, root (or the same user) only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/wire/wire.h"
#include "launcher/broker/conf.h"

namespace slipway {

enum class HolderFrame : std::uint16_t {
  kPut = 1,   // HolderKey + fds: kept under the key, replacing what was there
  kGet = 2,   // HolderKey → kKept + fds
  kDrop = 4,  // HolderKey → kKept, also when there was none
  kKept = 16,
  kRefused = 18  // std::string
};
struct HolderKey {
  std::string key;
};
void Fields(auto& archive, IsA<HolderKey> auto& v) { archive(v.key); }

// Of the mount namespace with run_dir/mounts, where image mounts are kept. Made by the holder; cannot be
// dropped.
inline constexpr const char* kMountsKey = "mounts";

// Becomes the holder; returns after SIGTERM, or with the error that kept it from starting.
Result<> RunHolder(const BrokerConf& conf);

// The broker's side. Blocking, the answers come at once; a holder that has gone is kUnavailable.
class HolderClient {
 public:
  static Result<HolderClient> Connect(const std::string& socket);
  Result<> Put(const std::string& key, const std::vector<int>& fds);
  Result<std::vector<UniqueFd>> Get(const std::string& key);  // kNotFound
  Result<> Drop(const std::string& key);

 private:
  Result<std::vector<UniqueFd>> Ask(HolderFrame kind, const std::string& key, const std::vector<int>& fds);
  UniqueFd socket_;
};

}  // namespace slipway
