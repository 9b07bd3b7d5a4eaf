// SPDX-License-Identifier: Apache-2.0
// What slipway-import says of an image's signatures: apart from it so that a test can ask.
#pragma once

#include <memory>
#include <vector>

#include "imagestore/trust/signer.h"
#include "launcher/spec/image_signers.h"

namespace slipway {

// The keys whose good signature covers the partition that containers run from; none when the image is no SIF,
// is not signed, a part of that partition's group is not covered, or a signature by one of `keys` is wrong.
// The answer is the document of launcher/spec/image_signers.h. An error is of the file, not of a signature.
Result<std::string> SignersOfImage(int fd, const std::vector<std::unique_ptr<trust::Checker>>& keys);
// The same, and that partition's bytes go to the empty file `copy_fd`, padded to what a loop device maps:
// those that were compared with the signatures, or those that the document leaves to be compared.
// kPermissionDenied says why when there is no signer.
Result<std::string> CopyIfSigned(int fd, int copy_fd,
                                 const std::vector<std::unique_ptr<trust::Checker>>& keys);

}  // namespace slipway
