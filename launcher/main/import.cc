// SPDX-License-Identifier: Apache-2.0
// Foreign images are parsed by libraries that were not written for hostile input. So they are parsed here: in
// a process that, before it reads the first byte, can do nothing any more but compute, read one descriptor
// and write another. Whoever takes it over gains a CPU.
//
//   slipway-import --in-fd N --out-fd M [--limits-fd L]
//   slipway-import --look-fd N --out-fd C
//   slipway-import --verify-fd N --out-fd M --keys-fd K [--as-is-fd S]
//
// N: a SIF or a squashfs. M, C, S: empty regular files, readable and writable. The first form writes a
// squashfs to M that our writer made, and one line of key=value to stdout. The second writes what is inside
// the squashfs N to C (imagestore/content/content.h). The third writes who signed N, of the keys in K
// (imagestore/trust/site_keys.h), as launcher/spec/image_signers.h says; to S goes the squashfs that they
// signed, as it is, whose digest may be left to the caller to compare, and without a signer that is a
// refusal. Exit 1 and one line on stderr when the image is refused or damaged; 2 when it was called wrongly.
// A forbidden system call ends it with SIGSYS.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <optional>
#include <set>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/result/result.h"
#include "imagestore/content/inspect.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/trust/site_keys.h"
#include "launcher/main/import_confine.h"
#include "launcher/main/import_signers.h"
#include "launcher/spec/import_limits.h"

namespace slipway {
namespace {

struct Arguments {
  int in_fd = -1, look_fd = -1, verify_fd = -1, out_fd = -1, keys_fd = -1, as_is_fd = -1, limits_fd = -1;
  int image_fd() const { return std::max({in_fd, look_fd, verify_fd}); }
};

std::optional<int> FdNumber(const char* text) {
  char* end = nullptr;
  long number = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || number < 0 || number > 1023) return std::nullopt;
  return static_cast<int>(number);
}

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments given;
  const std::map<std::string_view, int*> slots = {
      {"--in-fd", &given.in_fd},        {"--look-fd", &given.look_fd}, {"--verify-fd", &given.verify_fd},
      {"--out-fd", &given.out_fd},      {"--keys-fd", &given.keys_fd}, {"--as-is-fd", &given.as_is_fd},
      {"--limits-fd", &given.limits_fd}};
  std::set<int> different;
  for (int i = 1; i < argc; i += 2) {
    auto slot = slots.find(argv[i]);
    auto number = i + 1 < argc ? FdNumber(argv[i + 1]) : std::nullopt;
    if (slot == slots.end() || *slot->second >= 0 || !number || !different.insert(*number).second)
      return std::nullopt;
    *slot->second = *number;
  }
  bool verifies = given.verify_fd >= 0;
  int images = (given.in_fd >= 0) + (given.look_fd >= 0) + verifies;
  bool fits = verifies ? given.keys_fd >= 0 : given.keys_fd < 0 && given.as_is_fd < 0;
  fits = fits && (given.limits_fd < 0 || given.in_fd >= 0);
  if (given.out_fd < 0 || images != 1 || !fits) return std::nullopt;
  return given;
}

Result<> CheckOutput(int fd) {
  struct stat info;
  if (::fstat(fd, &info) < 0) return ErrnoFail("the output's descriptor");
  int flags = ::fcntl(fd, F_GETFL);
  if (!S_ISREG(info.st_mode) || (flags & O_ACCMODE) != O_RDWR) {
    return Fail(Code::kInvalidArgument, "the output must be a regular file, open for reading and writing");
  }
  if (info.st_size != 0) return Fail(Code::kFailedPrecondition, "the output is not empty");
  return {};
}

Result<> CheckDescriptors(const Arguments& arguments) {
  struct stat info;
  if (::fstat(arguments.image_fd(), &info) < 0) return ErrnoFail("the image's descriptor");
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, "the image is not a regular file");
  if (arguments.as_is_fd >= 0) TRY(CheckOutput(arguments.as_is_fd));
  return CheckOutput(arguments.out_fd);
}

std::uint64_t SizeOf(int fd) {
  return static_cast<std::uint64_t>(std::max<off_t>(::lseek(fd, 0, SEEK_END), 0));
}

Result<squashfs::Window> FindSquashfs(int fd) {
  if (sif::LooksLikeSif(fd)) {
    sif::Image image = TRY(sif::Read(fd));
    sif::Descriptor partition = TRY(sif::PrimarySystemPartition(image, fd));
    return squashfs::Window{fd, partition.offset, partition.size};
  }
  char magic[4] = {};
  auto read = ReadExactlyAt(fd, std::as_writable_bytes(std::span(magic)), 0);
  if (!read || std::memcmp(magic, "hsqs", 4) != 0) {
    return Fail(Code::kInvalidArgument, "neither a SIF nor a squashfs image");
  }
  return squashfs::Window{fd, 0, SizeOf(fd)};
}

// Names come from the image: they must not forge a line or a terminal's escape.
std::string Printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"'; }, '?');
  return text;
}

// An image about which nothing can be said is an image.
Result<std::string> TellContent(const Arguments& arguments) {
  TRY(Confine());
  auto content = content::InspectImage({arguments.look_fd, 0, SizeOf(arguments.look_fd)});
  if (!content) content = content::Content{.notes = {content.error().message}};
  TRY(WriteAll(arguments.out_fd, content::EncodeContent(*content)));
  return std::string();
}

Result<std::string> Pack(const Arguments& arguments) {
  ImportLimits limits;
  if (arguments.limits_fd >= 0)
    limits = TRY(Decode<ImportLimits>(TRY(ReadAll(arguments.limits_fd, 4096)), "limits of an import"));
  TRY(Confine(limits.memory));
  squashfs::Window window = TRY(FindSquashfs(arguments.in_fd));
  squashfs::PackOptions options;
  options.policy = squashfs::ImportPolicy();
  options.limits = {.entries_max = limits.entries,
                    .bytes_max = limits.bytes,
                    .depth_max = limits.depth,
                    .entries_setting = "import_entries_max",
                    .bytes_setting = "import_bytes_max",
                    .depth_setting = "import_depth_max"};
  squashfs::PackSummary summary = TRY(squashfs::Repack(window, arguments.out_fd, options));
  std::string list;
  for (const std::string& what : summary.dropped) list += Cat(list.empty() ? "" : "; ", what);
  return Cat("entries=", summary.entries, " bytes_in=", summary.bytes_in, " bytes_out=", summary.bytes_out,
             " dropped=", summary.dropped_count, " dropped_list=\"", Printable(list), "\"\n");
}

// Where our one line goes. librnp has the habit of warning on 2, where nobody could tell it from ours.
int error_fd = 2;

Result<> KeepStderrForUs() {
  error_fd = ::fcntl(2, F_DUPFD_CLOEXEC, 3);
  if (error_fd < 0 || ::dup2(0, 2) < 0) return ErrnoFail("dup of stderr");
  return {};
}

// The site's keys are its own: they are read, and the libraries warm, before the walls close.
Result<std::string> Verify(const Arguments& arguments) {
  TRY(KeepStderrForUs());
  auto keys = TRY(trust::SiteKeys(TRY(ReadAll(arguments.keys_fd, trust::kSiteKeysMax))));
  if (DigestOf("") == DigestOf(" "))
    return Fail(Code::kInternal, "libcrypto cannot hash");  // reads its settings
  TRY(Confine());
  std::string told = arguments.as_is_fd >= 0
                         ? TRY(CopyIfSigned(arguments.verify_fd, arguments.as_is_fd, keys))
                         : TRY(SignersOfImage(arguments.verify_fd, keys));
  TRY(WriteAll(arguments.out_fd, told));
  return std::string();
}

Result<std::string> Run(const Arguments& arguments) {
  TRY(CloseAllBut(
      {arguments.image_fd(), arguments.out_fd, arguments.keys_fd, arguments.as_is_fd, arguments.limits_fd}));
  TRY(CheckDescriptors(arguments));
  if (arguments.look_fd >= 0) return TellContent(arguments);
  return arguments.verify_fd >= 0 ? Verify(arguments) : Pack(arguments);
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  using namespace slipway;
  auto arguments = Parse(argc, argv);
  if (!arguments) {
    (void)WriteAll(2,
                   "slipway-import: usage: slipway-import --in-fd N --out-fd M [--limits-fd L], or --look-fd "
                   "N --out-fd C, or "
                   "--verify-fd N --out-fd M --keys-fd K [--as-is-fd S]\n");
    return 2;
  }
  Result<std::string> outcome;
  try {
    outcome = Run(*arguments);
  } catch (const std::bad_alloc&) {
    outcome = Fail(Code::kResourceExhausted, "the image needs more memory than import_memory allows");
  }
  if (!outcome) {
    (void)WriteAll(error_fd, Cat("slipway-import: ", Printable(outcome.error().message), "\n"));
    return 1;
  }
  return WriteAll(1, *outcome) ? 0 : 1;
}
