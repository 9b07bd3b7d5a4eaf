// SPDX-License-Identifier: Apache-2.0
#include "launcher/main/import_signers.h"

#include <algorithm>

#include "imagestore/sif/sif.h"
#include "imagestore/trust/trust.h"

namespace slipway {

Result<std::vector<ImageSigner>> SignersOfImage(int fd,
                                                const std::vector<std::unique_ptr<trust::Checker>>& keys) {
  std::vector<ImageSigner> signers;
  if (!sif::LooksLikeSif(fd)) return signers;
  sif::Image image = TRY(sif::Read(fd));
  sif::Descriptor partition = TRY(sif::PrimarySystemPartition(image, fd));
  if (partition.group == 0) return signers;  // nothing that a signature could be of
  trust::VerifyReport report = TRY(trust::Verify(fd, keys, {.group = partition.group}));
  if (!report.verified) return signers;
  for (const trust::SignatureReport& one : report.signatures) {
    bool covers = std::find(one.objects.begin(), one.objects.end(), partition.id) != one.objects.end();
    if (one.checked.state == trust::Checked::kGood && covers && !one.checked.key.empty())
      signers = MergeSigners(std::move(signers), {{one.checked.key, one.checked.signer}});
  }
  return signers;
}

}  // namespace slipway
