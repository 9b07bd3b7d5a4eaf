// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/importer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <csignal>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "launcher/broker/images.h"
#include "launcher/broker/sandbox.h"

namespace slipway {
namespace {

constexpr std::size_t kErrorBytesMax = 400;
constexpr int kDeadlineMs = 30 * 60 * 1000;

// The first line, with nothing in it that could confuse a log or a terminal: it comes from the parser of a
// hostile file.
std::string FirstLine(int fd) {
  std::string text(kErrorBytesMax, '\0');
  ssize_t n = ::read(fd, text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return Printable(text.substr(0, text.find('\n')));
}

Result<> RunImport(const SandboxPlan& plan, int errors_fd) {
  Process process = TRY(StartSandboxed(plan));
  pollfd ended{process.pidfd(), POLLIN, 0};
  bool overdue = ::poll(&ended, 1, kDeadlineMs) == 0;
  if (overdue) TRY(process.Signal(SIGKILL));
  ExitStatus status = TRY(process.Wait());
  if (overdue) return Fail(Code::kDeadlineExceeded, "the import took longer than 30 minutes");
  if (status.wait_status == 0) return {};
  std::string line = FirstLine(errors_fd);
  if (line.empty() && status.signaled()) line = Cat("slipway-import was ended by signal ", status.signal());
  return Fail(Code::kInvalidArgument, line.empty() ? "slipway-import failed without a word" : line);
}

}  // namespace

Result<Imported> ImportFile(const BrokerConf& conf, int store_fd, int source_fd) {
  if (!conf.rootless && (conf.import_uid == 0 || conf.import_gid == 0))
    return Fail(Code::kFailedPrecondition,
                "imports are off: import_uid and import_gid are not set in the broker's configuration");
  struct stat info;
  if (::fstat(source_fd, &info) < 0) return ErrnoFail("fstat");
  if (!S_ISREG(info.st_mode))
    return Fail(Code::kInvalidArgument, "the image to import is not a regular file");
  UniqueFd source = TRY_CONTEXT(ReopenReadOnly(source_fd), "the image to import");
  UniqueFd out = TRY(MakeNamelessImage(conf));
  // Nobody reads it before the end and nobody waits for it: what does not fit the pipe is lost.
  PipeEnds errors = TRY(MakePipe(O_NONBLOCK));
  TRY(RunImport({.program = conf.import,
                 .uid = conf.import_uid,
                 .gid = conf.import_gid,
                 .rootless = conf.rootless,
                 .scratch = conf.run_dir,
                 .in_fd = source.get(),
                 .out_fd = out.get(),
                 .error_fd = errors.write.get(),
                 .out_bytes_max = 4 * static_cast<std::uint64_t>(info.st_size) + (std::uint64_t{1} << 30)},
                errors.read.get()));
  UniqueFd result = TRY(ReopenReadOnly(out.get()));
  out.reset();  // the lease must find no writer
  Imported imported{TRY(HashUnwritable(result.get())), TRY(DigestOfFile(source.get()))};
  if (::fstat(result.get(), &info) < 0) return ErrnoFail("fstat");
  imported.bytes = static_cast<std::uint64_t>(info.st_size);
  TRY(LinkIntoStore(conf, store_fd, result.get(), imported.digest));
  return imported;
}

}  // namespace slipway
