// SPDX-License-Identifier: Apache-2.0
#include "launcher/main/import_signers.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/os/fd.h"
#include "imagestore/sif/sif.h"
#include "imagestore/trust/trust.h"

namespace slipway {
namespace {

constexpr std::uint64_t kPaddedTo = 4096;

struct Found {
  std::vector<ImageSigner> signers;
  std::string digest;  // that the copy must have; empty: it was compared
  std::string why;     // there is none
};

Result<Found> Find(int fd, const std::vector<std::unique_ptr<trust::Checker>>& keys, int copy_fd) {
  if (!sif::LooksLikeSif(fd)) return Found{.why = "it is no SIF, and nothing else carries signatures"};
  sif::Image image = TRY(sif::Read(fd));
  sif::Descriptor partition = TRY(sif::PrimarySystemPartition(image, fd));
  // Without a group there is nothing that a signature could be of.
  if (partition.group == 0) return Found{.why = "its system partition is in no group that could be signed"};
  trust::VerifyOptions options{.group = partition.group};
  // The broker digests the copy anyway, for its name, which is a digest of the same bytes unless more come.
  if (copy_fd >= 0) options.copy = {partition.id, copy_fd, partition.size % kPaddedTo == 0};
  trust::VerifyReport report = TRY(trust::Verify(fd, keys, options));
  if (!report.verified) return Found{.why = report.why};
  Found found{.digest = report.copy_digest, .why = "no good signature names its key"};
  for (const trust::SignatureReport& one : report.signatures) {
    bool covers = std::find(one.objects.begin(), one.objects.end(), partition.id) != one.objects.end();
    if (one.checked.state == trust::Checked::kGood && covers && !one.checked.key.empty())
      found.signers = MergeSigners(std::move(found.signers), {{one.checked.key, one.checked.signer}});
  }
  return found;
}

// The end of a file that is not a multiple of it would be lost in a loop device.
Result<> Pad(int fd) {
  char magic[4] = {};
  off_t size = ::lseek(fd, 0, SEEK_END);
  if (size < 0) return ErrnoFail("lseek");
  auto read = ReadExactlyAt(fd, std::as_writable_bytes(std::span(magic)), 0);
  if (!read || std::memcmp(magic, "hsqs", 4) != 0)
    return Fail(Code::kInvalidArgument, "what was signed is no squashfs");
  std::uint64_t padded = (static_cast<std::uint64_t>(size) + kPaddedTo - 1) / kPaddedTo * kPaddedTo;
  return ::ftruncate(fd, static_cast<off_t>(padded)) == 0 ? Result<>() : ErrnoFail("ftruncate");
}

}  // namespace

Result<std::string> SignersOfImage(int fd, const std::vector<std::unique_ptr<trust::Checker>>& keys) {
  return SignersText(TRY(Find(fd, keys, -1)).signers);
}

Result<std::string> CopyIfSigned(int fd, int copy_fd,
                                 const std::vector<std::unique_ptr<trust::Checker>>& keys) {
  Found found = TRY(Find(fd, keys, copy_fd));
  if (found.signers.empty())
    return Fail(Code::kPermissionDenied,
                "--as-is needs a signature by a key of this site (image_keys): ", found.why,
                "; without --as-is it is packed anew");
  TRY(Pad(copy_fd));
  return SignersText(found.signers, found.digest);
}

}  // namespace slipway
