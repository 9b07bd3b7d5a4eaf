// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/image_desk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kManifestsMax = 64;
constexpr std::string_view kDigestPrefix = "sha256:";

Result<> Copy(int from, store::Writer& to) {
  std::vector<char> piece(1 << 20);
  for (off_t offset = 0;;) {
    ssize_t n = ::pread(from, piece.data(), piece.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("pread", "the imported image");
    if (n == 0) return {};
    TRY(to.Write({piece.data(), static_cast<std::size_t>(n)}));
    offset += n;
  }
}

std::int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<std::unique_ptr<ImageDesk>> ImageDesk::Open(Loop& loop, Options options) {
  for (const char* part : {"/imports", "/spool"}) TRY(MakeDirectories(options.state_dir + part, 0700));
  store::BlobStore blobs = TRY(store::BlobStore::Open(options.state_dir + "/images"));
  store::Catalogue catalogue = TRY(store::Catalogue::Open(options.state_dir + "/catalogue.db"));
  return std::unique_ptr<ImageDesk>(
      new ImageDesk(loop, std::move(options), std::move(blobs), std::move(catalogue)));
}

ImageDesk::~ImageDesk() = default;

Result<ImageRef> ImageDesk::Resolve(const std::string& reference) {
  if (reference.empty())
    return Fail(Code::kInvalidArgument, "no image was given: every step runs in one (--image)");
  if (reference.starts_with(kDigestPrefix)) {
    if (!IsDigest(reference))
      return Fail(Code::kInvalidArgument, "image \"", reference.substr(0, 100),
                  "\": a digest is sha256: and 64 hex digits");
    auto file = blobs_.OpenForReading(reference);
    struct stat facts;
    if (!file || ::fstat(file->get(), &facts) < 0)
      return Fail(Code::kNotFound, "image ", reference, " is not here; upload it first");
    return ImageRef{reference, reference, static_cast<std::uint64_t>(facts.st_size)};
  }
  store::ImageRecord record = TRY(ResolveRecord(reference));
  return ImageRef{reference, record.digest, record.size};
}

Result<store::ImageRecord> ImageDesk::ResolveRecord(const std::string& reference) {
  std::lock_guard lock(mutex_);
  return catalogue_.Resolve(reference);
}

Result<std::vector<store::ImageRecord>> ImageDesk::List() {
  std::lock_guard lock(mutex_);
  return catalogue_.List();
}

Result<store::ImageRecord> ImageDesk::Add(const std::string& name, const std::string& digest,
                                          std::uint32_t uid, bool admin) {
  store::ImageName parsed = TRY(store::ParseImageName(name));
  ImageRef image = TRY(Resolve(digest));
  std::lock_guard lock(mutex_);
  store::ImageRecord record{.name = parsed.Text(),
                            .digest = image.digest,
                            .source_digest = image.digest,
                            .owner_uid = uid,
                            .created = NowMs(),
                            .size = image.bytes};
  if (admin) {  // replaces in the owner's name, not in his own
    auto old = catalogue_.Resolve(record.name);
    if (old) record.owner_uid = old->owner_uid;
  }
  TRY(catalogue_.Add(record));
  return catalogue_.Resolve(record.name);
}

Result<> ImageDesk::Remove(const std::string& name, std::uint32_t uid, bool admin,
                           const std::function<bool(const std::string&)>& in_use) {
  std::lock_guard lock(mutex_);
  store::ImageRecord gone = TRY(catalogue_.Remove(name, admin ? 0 : uid));
  std::vector<std::string> digests = gone.previous;
  digests.push_back(gone.digest);
  for (const std::string& digest : digests) {
    if (TRY(catalogue_.Mentions(digest)) || in_use(digest)) continue;
    manifests_.erase(digest);
    auto removed = blobs_.Remove(digest);
    if (!removed && removed.error().code != Code::kNotFound) return removed;
  }
  return {};
}

// ---- Imports

std::string ImageDesk::ImportNote(const std::string& source_digest) const {
  return Cat(options_.state_dir, "/imports/", source_digest.substr(kDigestPrefix.size()));
}

Result<ImageDesk::Imported> ImageDesk::Find(const std::string& source_digest) {
  if (!IsDigest(source_digest))
    return Fail(Code::kInvalidArgument, "source_digest: a digest is sha256: and 64 hex digits");
  std::string digest = source_digest;  // an image of ours comes back as it is
  if (auto note = ReadFile(ImportNote(source_digest), 256)) digest = std::string(Trim(*note));
  auto image = Resolve(digest);
  if (!image) return Fail(Code::kNotFound, "no image was imported from ", source_digest);
  return Imported{image->digest, source_digest, image->bytes, true};
}

Result<UniqueFd> ImageDesk::NewSpoolFile() const {
  return slipway::Open(options_.state_dir + "/spool", O_TMPFILE | O_RDWR, 0600);
}

Result<BrokerClient*> ImageDesk::Broker() {
  if (options_.broker_socket.empty())
    return Fail(Code::kFailedPrecondition,
                "images cannot be imported here: controller.broker_socket is not set");
  if (!broker_) {
    broker_ =
        TRY_CONTEXT(BrokerClient::Connect(loop_, options_.broker_socket), "the broker that imports images");
    broker_->SetEvents({.lost = [this](Error error) {
      Log(Level::kWarn, "the broker that imports images is gone; it is called again at the next upload",
          {{"reason", error.message}});
      broker_.reset();
    }});
  }
  return broker_.get();
}

void ImageDesk::Import(UniqueFd spooled, std::string source_digest,
                       std::function<void(Result<Imported>)> done) {
  auto broker = Broker();
  if (!broker) return done(Failure(std::move(broker).error()));
  (*broker)->ImportImage(std::move(spooled), [this, source_digest, done = std::move(done)](
                                                 Result<BrokerClient::Imported> imported) {
    if (!imported) return done(Failure(std::move(imported).error()));
    auto shared = std::make_shared<BrokerClient::Imported>(std::move(*imported));
    worker_->Post([this, source_digest, done, shared] {
      auto kept = std::make_shared<Result<Imported>>(Keep(std::move(*shared), source_digest));
      loop_.Post([done, kept] { done(std::move(*kept)); });
    });
  });
}

// The note comes last: an image that is found by its source is whole.
Result<ImageDesk::Imported> ImageDesk::Keep(BrokerClient::Imported imported,
                                            const std::string& source_digest) {
  if (imported.image.source_digest != source_digest)
    return Fail(Code::kDataLoss, "the import read ", imported.image.source_digest, ", not the ",
                source_digest, " that was sent");
  store::Writer writer = TRY(blobs_.NewBlob());
  TRY_CONTEXT(Copy(imported.file.get(), writer), "keeping the imported image");
  store::Blob blob = TRY_CONTEXT(writer.Finish(imported.image.digest), "keeping the imported image");
  TRY(WriteFileAtomically(ImportNote(source_digest), blob.digest + "\n", 0600));
  Log(Level::kInfo, "image imported",
      {{"digest", blob.digest}, {"source", source_digest}, {"bytes", blob.size}});
  return Imported{blob.digest, source_digest, blob.size, false};
}

// ---- For nodes

Result<UniqueFd> ImageDesk::OpenBlob(const std::string& digest) {
  if (!IsDigest(digest)) return Fail(Code::kInvalidArgument, "not a digest");
  return blobs_.OpenForReading(digest);
}

Result<std::shared_ptr<const store::ChunkManifest>> ImageDesk::Manifest(const std::string& digest) {
  {
    std::lock_guard lock(mutex_);
    if (auto at = manifests_.find(digest); at != manifests_.end()) return at->second;
  }
  UniqueFd file = TRY(OpenBlob(digest));
  auto manifest = std::make_shared<const store::ChunkManifest>(TRY(store::MakeChunkManifest(file.get())));
  std::lock_guard lock(mutex_);
  if (manifests_.size() >= kManifestsMax) manifests_.clear();
  manifests_[digest] = manifest;
  return manifest;
}

}  // namespace slipway::scheduler
