// SPDX-License-Identifier: Apache-2.0
// Foreign images are parsed by slipway-import, and it is assumed that one of them will take it over some day:
// it runs as a user of its own, in empty network, IPC, PID and mount namespaces (a root with /usr and the
// libraries, all read-only), with one descriptor in and one out, bounded and with a deadline. What it wrote
// is hashed and gets its name in the store.
//
// Signatures are verified by another run of it, which never looks at the file system inside: whoever takes
// over the one that packs cannot say that he was signed.
#pragma once

#include <string>

#include "base/os/fd.h"
#include "base/wire/wire.h"
#include "launcher/broker/conf.h"
#include "launcher/spec/image_signers.h"

namespace slipway {

struct Imported {
  std::string digest, source_digest;
  std::uint64_t bytes = 0;
  std::vector<ImageSigner> signers;
};
void Fields(auto& archive, IsA<Imported> auto& v) { archive(v.digest, v.source_digest, v.bytes, v.signers); }

// Blocks until the image is in the store: for a worker, whose end is the importer's too. `store_fd`: as in
// LinkIntoStore.
Result<Imported> ImportFile(const BrokerConf& conf, int store_fd, int source_fd);

}  // namespace slipway
