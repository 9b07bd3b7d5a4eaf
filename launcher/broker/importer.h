// SPDX-License-Identifier: Apache-2.0
// Foreign images are parsed by slipway-import, and it is assumed that one of them will take it over some day:
// it runs as a user of its own, in empty network, IPC, PID and mount namespaces (a root with /usr and the
// libraries, all read-only), with one descriptor in and one out, bounded and with a deadline. What it wrote
// is hashed and gets its name in the store.
#pragma once

#include <string>

#include "base/os/fd.h"
#include "base/wire/wire.h"
#include "launcher/broker/conf.h"

namespace slipway {

struct Imported {
  std::string digest, source_digest;
  std::uint64_t bytes = 0;
};
void Fields(auto& archive, IsA<Imported> auto& v) { archive(v.digest, v.source_digest, v.bytes); }

// Blocks until the image is in the store: for a worker, whose end is the importer's too. `store_fd`: as in
// LinkIntoStore.
Result<Imported> ImportFile(const BrokerConf& conf, int store_fd, int source_fd);

}  // namespace slipway
