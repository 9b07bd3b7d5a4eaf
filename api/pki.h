// SPDX-License-Identifier: Apache-2.0
// `slipway init` makes what a cluster's daemons know each other by, in one folder:
//   ca.pem ca.key · controller.crt controller.key (TLS) · signing.key controller.pub (Ed25519: tokens, launch
//   credentials) cluster-id (random hex, one line) · nodes/NAME.crt nodes/NAME.key
// Keys are 0600, the rest 0644; all are owned by the caller. Certificates are EC P-256: the CA lives ten
// years, leaves two.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway {

struct ClusterKeys {
  std::string cluster_id;
};
// Makes `dir` (0755) if need be. kAlreadyExists when it holds a CA: a second one would orphan every node of
// the first.
Result<ClusterKeys> InitCluster(const std::string& dir, const std::string& cluster_name);
// nodes/NAME.crt and .key, written anew when they are there. The name must be one host name label ([a-z0-9-],
// ≤ 63).
Result<> IssueNode(const std::string& dir, const std::string& name);
// The text of DIR/cluster-id.
Result<std::string> ReadClusterId(const std::string& dir);

}  // namespace slipway
