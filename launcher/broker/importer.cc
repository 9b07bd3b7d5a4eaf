// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/importer.h"

#include <fcntl.h>
#include <poll.h>

#include <csignal>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "launcher/broker/image_mount.h"
#include "launcher/broker/images.h"
#include "launcher/broker/sandbox.h"

namespace slipway {
namespace {

// The first line, with nothing in it that could confuse a log or a terminal: it comes from the parser of a
// hostile file.
std::string FirstLine(int fd) {
  std::string text(400, '\0');
  ssize_t n = ::read(fd, text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return Printable(text.substr(0, text.find('\n')));
}

// Returns the digest of `hashed_fd`, which is read meanwhile.
Result<std::string> RunImport(const BrokerConf& conf, std::vector<SandboxFile> files,
                              std::uint64_t out_bytes_max, int hashed_fd = -1) {
  // Nobody reads it before the end and nobody waits for it: what does not fit the pipe is lost.
  PipeEnds errors = TRY(MakePipe(O_NONBLOCK));
  Process process = TRY(StartSandboxed({.program = conf.import,
                                        .uid = conf.import_uid,
                                        .gid = conf.import_gid,
                                        .rootless = conf.rootless,
                                        .scratch = conf.run_dir,
                                        .files = std::move(files),
                                        .error_fd = errors.write.get(),
                                        .out_bytes_max = out_bytes_max}));
  std::string digest = hashed_fd < 0 ? "" : TRY(HashUnwritable(hashed_fd));
  pollfd ended{process.pidfd(), POLLIN, 0};
  int deadline_ms = static_cast<int>(std::min(conf.import_limits.seconds, 2'000'000U)) * 1000;
  bool overdue = ::poll(&ended, 1, deadline_ms) == 0;
  if (overdue) TRY(process.Signal(SIGKILL));
  ExitStatus status = TRY(process.Wait());
  if (overdue) return Fail(Code::kDeadlineExceeded, "the import took longer than import_seconds allows");
  if (status.wait_status == 0) return digest;
  std::string line = FirstLine(errors.read.get());
  if (line.empty() && status.signaled()) line = Cat("slipway-import was ended by signal ", status.signal());
  return Fail(Code::kInvalidArgument, line.empty() ? "slipway-import failed without a word" : line);
}

// Whose keys signed it. From here on the file is held unwritable, so that what is packed is what was
// verified.
Result<std::string> Signers(const BrokerConf& conf, int source_fd, int as_is_fd, std::uint64_t bytes_max) {
  auto keys = ReadTrustedFile(conf.image_keys, ::geteuid());
  if (!keys && keys.error().code == Code::kNotFound) {
    if (as_is_fd < 0) return SignersText({});
    return Fail(Code::kPermissionDenied,
                "--as-is needs a signature by a key of this site, and it has none (image_keys: ",
                conf.image_keys, "); without --as-is it is packed anew");
  }
  UniqueFd keys_fd = TRY(MakeSealedMemfd("image-keys", TRY(std::move(keys))));
  UniqueFd found = TRY(MakeNamelessImage(conf));
  TRY_CONTEXT(HoldUnwritable(source_fd), "the image, whose signatures are to be verified");
  std::vector<SandboxFile> files = {
      {"--verify-fd", source_fd}, {"--out-fd", found.get()}, {"--keys-fd", keys_fd.get()}};
  if (as_is_fd >= 0) files.push_back({"--as-is-fd", as_is_fd});
  TRY_CONTEXT(RunImport(conf, files, bytes_max), "verifying its signatures");
  return ReadFile(Cat("/proc/self/fd/", found.get()), kSignersBytesMax);
}

// What was imported before, signed or not, had the same bytes: who signed either signed both.
Result<std::vector<ImageSigner>> KeepSigners(const BrokerConf& conf, const std::string& digest,
                                             const std::vector<ImageSigner>& found) {
  std::vector<ImageSigner> known = TRY(SignersOf(conf.image_dir, digest));
  std::vector<ImageSigner> all = MergeSigners(known, found);
  if (all != known)
    TRY(WriteFileAtomically(Cat(conf.image_dir, "/", SignersFile(digest)), SignersText(all), 0444));
  return all;
}

}  // namespace

Result<ImportedImage> ImportFile(const BrokerConf& conf, int store_fd, int source_fd, bool as_is) {
  if (!conf.rootless && (conf.import_uid == 0 || conf.import_gid == 0))
    return Fail(Code::kFailedPrecondition,
                "imports are off: import_uid and import_gid are not set in the broker's configuration");
  std::uint64_t bytes_max = 4 * TRY_CONTEXT(SizeOfFile(source_fd), "the image to import") + (1UL << 30);
  UniqueFd source = TRY_CONTEXT(ReopenReadOnly(source_fd), "the image to import");
  UniqueFd out = TRY(MakeNamelessImage(conf)), content = TRY(MakeNamelessImage(conf));
  std::string document = TRY(Signers(conf, source.get(), as_is ? out.get() : -1, bytes_max));
  UniqueFd limits = TRY(MakeSealedMemfd("import-limits", Encode(conf.import_limits)));
  std::vector<SandboxFile> pack = {
      {"--in-fd", source.get()}, {"--out-fd", out.get()}, {"--limits-fd", limits.get()}};
  if (!as_is) TRY(RunImport(conf, pack, bytes_max));
  if (document != SignersText({}) && !StillUnwritable(source.get()))
    return Fail(Code::kFailedPrecondition, "the image was opened for writing while it was imported");
  UniqueFd result = TRY(ReopenReadOnly(out.get()));
  out.reset();  // the lease must find no writer
  std::vector<SandboxFile> look = {{"--look-fd", result.get()}, {"--out-fd", content.get()}};
  ImportedImage imported{0, TRY(RunImport(conf, look, bytes_max, result.get())),
                         TRY(SizeOfFile(result.get()))};
  imported.signers = TRY_CONTEXT(ParseSigners(document, imported.digest), "verifying its signatures");
  TRY(LinkIntoStore(store_fd, result.get(), ImageFilePath(conf, imported.digest)));
  std::string told = ContentPath(conf, imported.digest);
  if (::unlink(told.c_str()) < 0 && errno != ENOENT) return ErrnoFail("unlink", told);
  TRY(LinkIntoStore(store_fd, content.get(), told));
  imported.signers = TRY(KeepSigners(conf, imported.digest, imported.signers));
  return imported;
}

}  // namespace slipway
