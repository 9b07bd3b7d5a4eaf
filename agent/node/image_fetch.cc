// SPDX-License-Identifier: Apache-2.0
#include "agent/node/image_fetch.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "api/status.h"
#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway {

// One call that FetchCancel reaches while it lasts.
class CancellableCall {
 public:
  CancellableCall(FetchCancel& cancel, std::chrono::seconds patience) : cancel_(cancel) {
    context.set_deadline(std::chrono::system_clock::now() + patience);
    std::lock_guard lock(cancel_.mutex_);
    cancel_.calls_.insert(&context);
    if (cancel_.cancelled_) context.TryCancel();
  }
  ~CancellableCall() {
    std::lock_guard lock(cancel_.mutex_);
    cancel_.calls_.erase(&context);
  }
  grpc::ClientContext context;

 private:
  FetchCancel& cancel_;
};

void FetchCancel::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* call : calls_) call->TryCancel();
  changed_.notify_all();
}

void FetchCancel::Sleep(int milliseconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(milliseconds), [this] { return cancelled_.load(); });
}

namespace {

constexpr std::uint64_t kChunkBytesMin = 4096, kChunkBytesMax = 64 << 20;
constexpr int kCorruptTries = 3;       // of one chunk
constexpr int kUnavailableTries = 60;  // a second apart
constexpr std::chrono::seconds kManifestPatience{30}, kChunkPatience{120};

struct Fetch {
  const FetchRequirements& wanted;
  FetchCancel& cancel;
  v1::ImageSource::Stub& source;
  v1::ImageManifest manifest;
  UniqueFd file;
  std::atomic<std::uint32_t> next_chunk{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;  // guards error
  Error error;

  std::uint64_t SizeOf(std::uint32_t chunk) const {
    return std::min<std::uint64_t>(manifest.chunk_bytes(),
                                   manifest.bytes() - std::uint64_t{chunk} * manifest.chunk_bytes());
  }
};

// Calls `attempt` until it succeeds, fails for good, or has failed too often.
template <class Attempt>
Result<> Persist(FetchCancel& cancel, Attempt attempt) {
  int corrupt = 0, unavailable = 0;
  for (;;) {
    Result<> outcome = attempt();
    if (cancel.cancelled()) return Fail(Code::kCancelled, "the fetch was cancelled");
    if (outcome) return outcome;
    bool again = (outcome.error().code == Code::kDataLoss && ++corrupt < kCorruptTries) ||
                 (outcome.error().code == Code::kUnavailable && ++unavailable < kUnavailableTries);
    if (!again) return outcome;
    Log(Level::kWarn, "image fetch: trying again", {{"error", outcome.error().message}});
    if (outcome.error().code == Code::kUnavailable) cancel.Sleep(1000);
  }
}

Result<> CheckManifest(const v1::ImageManifest& manifest, const FetchRequirements& wanted) {
  if (manifest.digest() != wanted.digest)
    return Fail(Code::kDataLoss, "the manifest is of ", manifest.digest().substr(0, 80));
  if (manifest.bytes() == 0 || manifest.bytes() > std::uint64_t{1} << 46)
    return Fail(Code::kDataLoss, "the manifest says ", manifest.bytes(), " bytes");
  if (wanted.bytes != 0 && manifest.bytes() != wanted.bytes)
    return Fail(Code::kDataLoss, "the manifest says ", manifest.bytes(), " bytes, announced were ",
                wanted.bytes);
  if (manifest.chunk_bytes() < kChunkBytesMin || manifest.chunk_bytes() > kChunkBytesMax)
    return Fail(Code::kDataLoss, "the manifest says chunks of ", manifest.chunk_bytes(), " bytes");
  std::uint64_t chunks = (manifest.bytes() + manifest.chunk_bytes() - 1) / manifest.chunk_bytes();
  if (static_cast<std::uint64_t>(manifest.chunk_digests_size()) != chunks)
    return Fail(Code::kDataLoss, "the manifest lists ", manifest.chunk_digests_size(), " chunks of ", chunks);
  return {};
}

Result<> GetManifest(Fetch& fetch) {
  return Persist(fetch.cancel, [&]() -> Result<> {
    CancellableCall call(fetch.cancel, kManifestPatience);
    v1::ImageManifestRequest request;
    request.set_digest(fetch.wanted.digest);
    TRY(ResultOf(fetch.source.Manifest(&call.context, request, &fetch.manifest)));
    return CheckManifest(fetch.manifest, fetch.wanted);
  });
}

Result<> MakeFile(Fetch& fetch) {
  fetch.file = TRY(Open(fetch.wanted.folder, O_TMPFILE | O_RDWR, 0600));
  auto size = static_cast<off_t>(fetch.manifest.bytes());
  // Said now, not after gigabytes have come. Where blocks cannot be reserved the write says it.
  if (::fallocate(fetch.file.get(), 0, 0, size) == 0 || errno == EOPNOTSUPP) return {};
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
    return Fail(Code::kResourceExhausted, "no room for ", fetch.manifest.bytes(), " bytes in ",
                fetch.wanted.folder);
  return ErrnoFail("fallocate", fetch.wanted.folder);
}

Result<std::string> ReceiveChunk(Fetch& fetch, std::uint32_t chunk) {
  CancellableCall call(fetch.cancel, kChunkPatience);
  v1::FetchRequest request;
  request.set_digest(fetch.wanted.digest);
  request.set_first_chunk(chunk);
  request.set_chunk_count(1);
  auto reader = fetch.source.Fetch(&call.context, request);
  std::string bytes;
  v1::FetchChunk piece;
  bool in_order = true;
  while (in_order && reader->Read(&piece)) {
    in_order = piece.index() == chunk && piece.offset() == bytes.size() &&
               piece.data().size() <= fetch.SizeOf(chunk) - bytes.size();
    if (in_order) bytes += piece.data();
  }
  if (!in_order) call.context.TryCancel();
  grpc::Status status = reader->Finish();
  if (!in_order) return Fail(Code::kDataLoss, "chunk ", chunk, " came in pieces that do not fit together");
  TRY(ResultOf(status));
  return bytes;
}

Result<> FetchChunk(Fetch& fetch, std::uint32_t chunk) {
  return Persist(fetch.cancel, [&]() -> Result<> {
    std::string bytes = TRY(ReceiveChunk(fetch, chunk));
    if (bytes.size() != fetch.SizeOf(chunk) ||
        DigestOf(bytes) != fetch.manifest.chunk_digests(static_cast<int>(chunk)))
      return Fail(Code::kDataLoss, "chunk ", chunk, " is not what its digest says");
    std::size_t written = 0;
    auto start = std::uint64_t{chunk} * fetch.manifest.chunk_bytes();
    while (written < bytes.size()) {
      ssize_t n = ::pwrite(fetch.file.get(), bytes.data() + written, bytes.size() - written,
                           static_cast<off_t>(start + written));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoFail("writing the image in", fetch.wanted.folder);
      written += static_cast<std::size_t>(n);
    }
    return {};
  });
}

void FetchChunks(Fetch& fetch) {
  auto count = static_cast<std::uint32_t>(fetch.manifest.chunk_digests_size());
  while (!fetch.failed) {
    std::uint32_t chunk = fetch.next_chunk++;
    if (chunk >= count) return;
    Result<> fetched = FetchChunk(fetch, chunk);
    if (fetched) continue;
    std::lock_guard lock(fetch.mutex);
    if (!fetch.failed) fetch.error = std::move(fetched).error();
    fetch.failed = true;
  }
}

Result<UniqueFd> FetchWhole(Fetch& fetch) {
  TRY(GetManifest(fetch));
  TRY(MakeFile(fetch));
  std::vector<std::thread> others;
  unsigned threads = std::clamp<unsigned>(fetch.wanted.chunks_in_flight, 1, 16);
  for (unsigned i = 1; i < threads; ++i) others.emplace_back([&fetch] { FetchChunks(fetch); });
  FetchChunks(fetch);
  for (std::thread& other : others) other.join();
  if (fetch.failed) return Failure(std::move(fetch.error));
  if (TRY(DigestOfFile(fetch.file.get())) != fetch.wanted.digest)
    return Fail(Code::kDataLoss, "every chunk fits the manifest, but the whole is not that image");
  // The broker proves that nobody can write the file: our own way to must go.
  UniqueFd reader = TRY(Open(Cat("/proc/self/fd/", fetch.file.get()), O_RDONLY));
  fetch.file.reset();
  return reader;
}

}  // namespace

Result<UniqueFd> FetchImage(const std::shared_ptr<grpc::Channel>& source, const FetchRequirements& wanted,
                            FetchCancel& cancel) {
  if (!IsDigest(wanted.digest))
    return Fail(Code::kInvalidArgument, "not a digest: ", wanted.digest.substr(0, 80));
  auto stub = v1::ImageSource::NewStub(source);
  Fetch fetch{.wanted = wanted, .cancel = cancel, .source = *stub};
  auto fetched = FetchWhole(fetch);
  if (!fetched) return Failure(std::move(fetched).error().Context(Cat("fetching image ", wanted.digest)));
  return fetched;
}

}  // namespace slipway
