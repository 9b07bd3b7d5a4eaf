// SPDX-License-Identifier: Apache-2.0
// Foreign images are parsed by libraries that were not written for hostile input. So they are parsed here: in
// a process that, before it reads the first byte, can do nothing any more but compute, read one descriptor
// and write another. Whoever takes it over gains a CPU.
//
//   slipway-import --in-fd N --out-fd M
//
// N: a SIF or a squashfs. M: an empty regular file, readable and writable; it gets a squashfs that our writer
// made. Exit 0 and one line of key=value on stdout; exit 1 and one line on stderr when the image is refused
// or damaged; 2 when it was called wrongly. A forbidden system call ends it with SIGSYS.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/pack.h"
#include "launcher/main/import_confine.h"

namespace slipway {
namespace {

constexpr std::uint64_t kDataMax = std::uint64_t{256} << 30;

struct Arguments {
  int in_fd = -1, out_fd = -1;
};

std::optional<int> FdNumber(const char* text) {
  char* end = nullptr;
  long number = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || number < 0 || number > 1023) return std::nullopt;
  return static_cast<int>(number);
}

std::optional<Arguments> Parse(int argc, char** argv) {
  if (argc != 5 || std::strcmp(argv[1], "--in-fd") != 0 || std::strcmp(argv[3], "--out-fd") != 0)
    return std::nullopt;
  auto in_fd = FdNumber(argv[2]), out_fd = FdNumber(argv[4]);
  if (!in_fd || !out_fd || *in_fd == *out_fd) return std::nullopt;
  return Arguments{*in_fd, *out_fd};
}

Result<> CloseOthers(const Arguments& arguments) {
  unsigned low = static_cast<unsigned>(std::min(arguments.in_fd, arguments.out_fd));
  unsigned high = static_cast<unsigned>(std::max(arguments.in_fd, arguments.out_fd));
  auto close_between = [](unsigned first, unsigned last) {
    return first > last || ::syscall(SYS_close_range, std::max(first, 3U), last, 0U) == 0;
  };
  bool closed = (low <= 3 || close_between(3, low - 1)) && close_between(std::max(low + 1, 3U), high - 1) &&
                close_between(std::max(high + 1, 3U), ~0U);
  if (!closed) return ErrnoFail("close_range");
  return {};
}

Result<> CheckDescriptors(const Arguments& arguments) {
  struct stat info;
  if (::fstat(arguments.in_fd, &info) < 0) return ErrnoFail("the image's descriptor");
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, "the image is not a regular file");
  if (::fstat(arguments.out_fd, &info) < 0) return ErrnoFail("the output's descriptor");
  int flags = ::fcntl(arguments.out_fd, F_GETFL);
  if (!S_ISREG(info.st_mode) || (flags & O_ACCMODE) != O_RDWR) {
    return Fail(Code::kInvalidArgument, "the output must be a regular file, open for reading and writing");
  }
  if (info.st_size != 0) return Fail(Code::kFailedPrecondition, "the output is not empty");
  return {};
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
  off_t size = ::lseek(fd, 0, SEEK_END);
  if (size < 0) return ErrnoFail("lseek");
  return squashfs::Window{fd, 0, static_cast<std::uint64_t>(size)};
}

// Names come from the image: they must not forge a line or a terminal's escape.
std::string Printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"'; }, '?');
  return text;
}

Result<std::string> Import(const Arguments& arguments) {
  TRY(CloseOthers(arguments));
  TRY(CheckDescriptors(arguments));
  TRY(Confine());
  squashfs::Window window = TRY(FindSquashfs(arguments.in_fd));
  squashfs::PackOptions options;
  options.policy = squashfs::ImportPolicy();
  options.limits.bytes_max = kDataMax;
  squashfs::PackSummary summary = TRY(squashfs::Repack(window, arguments.out_fd, options));
  std::string list;
  for (const std::string& what : summary.dropped) list += Cat(list.empty() ? "" : "; ", what);
  return Cat("entries=", summary.entries, " bytes_in=", summary.bytes_in, " bytes_out=", summary.bytes_out,
             " dropped=", summary.dropped_count, " dropped_list=\"", Printable(list), "\"\n");
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  using namespace slipway;
  auto arguments = Parse(argc, argv);
  if (!arguments) {
    (void)WriteAll(2, "slipway-import: usage: slipway-import --in-fd N --out-fd M\n");
    return 2;
  }
  Result<std::string> outcome;
  try {
    outcome = Import(*arguments);
  } catch (const std::bad_alloc&) {
    outcome = Fail(Code::kResourceExhausted, "the image needs more memory than an import may have");
  }
  if (!outcome) {
    (void)WriteAll(2, Cat("slipway-import: ", Printable(outcome.error().message), "\n"));
    return 1;
  }
  return WriteAll(1, *outcome) ? 0 : 1;
}
