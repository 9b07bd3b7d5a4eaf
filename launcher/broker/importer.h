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
#include "launcher/broker/conf.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

// Blocks until the image is in the store: for a worker, whose end is the importer's too. `store_fd`: as in
// LinkIntoStore. The id is the asker's to set. `as_is`: what a key of the site signed, not packed anew; the
// run that verifies writes the very bytes that it compared, and the file system in them is looked at by
// another run, which cannot write them any more.
Result<ImportedImage> ImportFile(const BrokerConf& conf, int store_fd, int source_fd, bool as_is);

}  // namespace slipway
