// SPDX-License-Identifier: Apache-2.0
// Whether somebody who is no job may have a container made by root, and of what. Pure: everything that it
// judges by is an argument. What the container may be is ContainerPolicy's, held by its child.
#pragma once

#include "launcher/broker/conf.h"
#include "launcher/broker/identity.h"

namespace slipway {

enum class ExecWay { kBrokered, kSetuid };

// `store_image`: the image is one of the store's, for the kernel to mount. kPermissionDenied names the key.
Result<> JudgeExec(const BrokerConf& conf, ExecWay way, const UserIds& who, bool store_image);
// Whether he may put a file of his own into the store. Where the site limits whose images are run, the
// store's are the admin's to choose: an import would launder any file into one of them.
Result<> JudgeImport(const BrokerConf& conf, ExecWay way, const UserIds& who);

// That an image handed to root to be read was opened for reading by whoever hands it: a descriptor says
// nothing of its own (O_PATH needs no right to the file). A regular file.
Result<> CheckReadable(int fd);

}  // namespace slipway
