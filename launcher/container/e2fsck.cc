// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/e2fsck.h"

#include <fcntl.h>

#include <array>
#include <span>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "launcher/container/fuse_server.h"

namespace slipway {
namespace {

constexpr std::uint64_t kSuperblockOffset = 1024;
constexpr std::size_t kSuperblockBytes = 1024;

// As the format has them.
constexpr std::size_t kStateAt = 58, kIncompatibleFeaturesAt = 96;
constexpr unsigned kClosed = 1, kHasErrors = 2, kJournalToReplay = 4;

// Of e2fsck's exit code.
constexpr int kRepaired = 1, kRestartWanted = 2;

unsigned ByteAt(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

std::string LastLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1).substr(0, 512);
}

}  // namespace

bool ExtWantsCheck(std::string_view superblock) {
  if (superblock.size() < kSuperblockBytes) return false;
  unsigned state = ByteAt(superblock, kStateAt);
  return (state & kClosed) == 0 || (state & kHasErrors) != 0 ||
         (ByteAt(superblock, kIncompatibleFeaturesAt) & kJournalToReplay) != 0;
}

Result<std::string> CheckExt(int image_fd) {
  std::string superblock(kSuperblockBytes, '\0');
  TRY(ReadExactlyAt(image_fd, std::as_writable_bytes(std::span(superblock)), kSuperblockOffset));
  if (!ExtWantsCheck(superblock)) return std::string();
  std::string program = TRY(
      FindFuseProgram("e2fsck", "e2fsprogs",
                      "repairs an ext3 image that was not closed, as this one before it can be written to"));
  Output output =
      TRY(RunAndCapture({.argv = {program, "-f", "-p", "/proc/self/fd/3"}, .fds = {{3, image_fd}}}));
  if (output.status.signaled() || (output.status.exit_code() & ~(kRepaired | kRestartWanted)) != 0) {
    return Fail(
        Code::kDataLoss,
        "the image was not closed and has damage that is not repaired without asking; run e2fsck on it, "
        "or use it read-only (:ro). e2fsck said: ",
        LastLine(std::move(output.out)));
  }
  return std::string("the image had not been closed the last time (killed?); e2fsck has put it right");
}

}  // namespace slipway
