// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/importer.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "base/crypto/crypto.h"
#include "base/wire/wire.h"
#include "launcher/broker/sandbox.h"

namespace slipway {
namespace {

constexpr std::size_t kErrorBytesMax = 400;

// The first line, with nothing in it that could confuse a log or a terminal: it comes from the parser of a
// hostile file.
std::string FirstLine(int fd) {
  std::string text(kErrorBytesMax, '\0');
  ssize_t n = ::read(fd, text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  text.resize(std::min(text.find('\n'), text.size()));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

struct Digests {
  std::string result, source;
};
void Fields(auto& archive, IsA<Digests> auto& v) { archive(v.result, v.source); }

}  // namespace

Importer::~Importer() {
  for (auto& [id, running] : running_) {
    [[maybe_unused]] auto killed = running.process.Signal(SIGKILL);
    [[maybe_unused]] auto reaped = running.process.Wait();
  }
}

void Importer::Import(UniqueFd source, Done done) {
  if (auto begun = Begin(std::move(source), done); !begun) done(Failure(std::move(begun).error()));
}

Result<> Importer::Begin(UniqueFd source, Done& done) {
  if (!conf_.rootless && (conf_.import_uid == 0 || conf_.import_gid == 0))
    return Fail(Code::kFailedPrecondition,
                "imports are off: import_uid and import_gid are not set in the broker's configuration");
  if (running_.size() >= kAtOnceMax)
    return Fail(Code::kResourceExhausted, kAtOnceMax, " imports run already");
  struct stat info;
  if (::fstat(source.get(), &info) < 0) return ErrnoFail("fstat");
  if (!S_ISREG(info.st_mode))
    return Fail(Code::kInvalidArgument, "the image to import is not a regular file");
  UniqueFd readable = TRY_CONTEXT(ReopenReadOnly(source.get()), "the image to import");
  UniqueFd out = TRY(images_.MakeNameless());
  // Nobody reads it before the end and nobody waits for it: what does not fit the pipe is lost.
  PipeEnds errors = TRY(MakePipe(O_NONBLOCK));
  SandboxPlan plan{.program = conf_.import,
                   .uid = conf_.import_uid,
                   .gid = conf_.import_gid,
                   .rootless = conf_.rootless,
                   .scratch = conf_.run_dir,
                   .in_fd = readable.get(),
                   .out_fd = out.get(),
                   .error_fd = errors.write.get(),
                   .out_bytes_max = 4 * static_cast<std::uint64_t>(info.st_size) + (std::uint64_t{1} << 30)};
  Process process = TRY(StartSandboxed(plan));
  std::uint64_t id = next_id_++;
  auto watch = loop_.Watch(process.pidfd(), EPOLLIN, [this, id](std::uint32_t) { Ended(id); });
  if (!watch) {
    [[maybe_unused]] auto killed = process.Signal(SIGKILL);
    [[maybe_unused]] auto reaped = process.Wait();
    return Failure(std::move(watch).error());
  }
  auto deadline = loop_.After(std::chrono::minutes(30), [this, id] {
    Running& late = running_.at(id);
    late.overdue = true;
    [[maybe_unused]] auto killed = late.process.Signal(SIGKILL);
  });
  running_.emplace(id, Running{std::move(process), std::move(readable), std::move(out),
                               std::move(errors.read), *watch, deadline, false, std::move(done)});
  return {};
}

void Importer::Ended(std::uint64_t id) {
  Running ended = std::move(running_.extract(id).mapped());
  loop_.Unwatch(ended.watch);
  loop_.Cancel(ended.deadline);
  auto status = ended.process.Poll();
  if (ended.overdue)
    return ended.done(Fail(Code::kDeadlineExceeded, "the import took longer than 30 minutes"));
  if (!status || !*status || (*status)->wait_status != 0) {
    std::string line = FirstLine(ended.errors.get());
    if (line.empty() && status && *status && (*status)->signaled())
      line = Cat("slipway-import was ended by signal ", (*status)->signal());
    return ended.done(
        Fail(Code::kInvalidArgument, line.empty() ? "slipway-import failed without a word" : line));
  }
  Finish(std::move(ended.source), std::move(ended.out), std::move(ended.done));
}

void Importer::Finish(UniqueFd source, UniqueFd out, Done done) {
  auto file = ReopenReadOnly(out.get());
  if (!file) return done(Failure(std::move(file).error()));
  out.reset();  // the lease must find no writer
  struct stat info;
  if (::fstat(file->get(), &info) < 0) return done(ErrnoFail("fstat"));
  auto from = std::make_shared<UniqueFd>(std::move(source));
  auto result = std::make_shared<UniqueFd>(std::move(*file));
  auto work = [from, result]() -> Result<std::string> {
    Digests digests;
    digests.result = TRY(HashUnwritable(result->get()));
    digests.source = TRY(DigestOfFile(from->get()));
    return Encode(digests);
  };
  workers_.Run(work, [this, result, done,
                      bytes = static_cast<std::uint64_t>(info.st_size)](Result<std::string> answer) {
    done([&]() -> Result<Imported> {
      std::string encoded = TRY(std::move(answer));
      Digests digests = TRY(Decode<Digests>(encoded, "digests"));
      TRY(images_.Link(result->get(), digests.result));
      return Imported{digests.result, digests.source, bytes, std::move(*result)};
    }());
  });
}

}  // namespace slipway
