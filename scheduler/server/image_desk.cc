// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/image_desk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "scheduler/server/clock.h"

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

}  // namespace

Result<std::unique_ptr<ImageDesk>> ImageDesk::Open(Loop& loop, Options options) {
  TRY(MakeDirectories(options.state_dir + "/spool", 0700));
  store::BlobStore blobs = TRY(store::BlobStore::Open(options.state_dir + "/images"));
  store::Catalogue catalogue = TRY(store::Catalogue::Open(options.state_dir + "/catalogue.db"));
  std::unique_ptr<ImageDesk> desk(
      new ImageDesk(loop, std::move(options), std::move(blobs), std::move(catalogue)));
  TRY(desk->TakeOverOldNotes());
  desk->rules_ = TRY(desk->catalogue_.Rules());
  TRY(desk->ReadProjects());
  return desk;
}

ImageDesk::~ImageDesk() {
  loop_.Cancel(uses_timer_);
  WriteUses();
}

// Older releases kept which source became which image in files of a folder.
Result<> ImageDesk::TakeOverOldNotes() {
  const std::string folder = options_.state_dir + "/imports";
  if (::access(folder.c_str(), F_OK) < 0) return {};
  for (const std::string& name : TRY(NamesIn(folder))) {
    std::string source = Cat(kDigestPrefix, name), path = Cat(folder, "/", name);
    auto note = ReadFile(path, 256);
    std::string digest = note ? std::string(Trim(*note)) : std::string();
    if (!IsDigest(source) || !IsDigest(digest)) continue;
    auto size = StoredSize(digest);
    if (size)
      TRY(catalogue_.KeepImage(
          {.digest = digest, .source_digest = source, .size = *size, .created = NowMs()}));
  }
  return RemoveTree(folder);
}

// ---- Imports

Result<ImageDesk::Imported> ImageDesk::Find(const std::string& source_digest, const Requester& by) {
  if (!IsDigest(source_digest))
    return Fail(Code::kInvalidArgument, "source_digest: a digest is sha256: and 64 hex digits");
  auto lock = LockFor(by);
  std::string digest = TRY(catalogue_.ImportOf(source_digest));
  if (digest.empty()) digest = source_digest;  // an image of ours comes back as it is
  auto seen = See(digest, by);
  if (!seen || seen->facts.damaged)
    return Fail(Code::kNotFound, "no image was imported from ", source_digest);
  Pin(digest);  // its name or its job comes next
  return Imported{digest, source_digest, seen->record.size, true};
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

void ImageDesk::Import(UniqueFd spooled, std::string source_digest, bool as_is, Requester by,
                       std::function<void(Result<Imported>)> done) {
  auto broker = Broker();
  if (!broker) return done(Failure(std::move(broker).error()));
  (*broker)->ImportImage(
      std::move(spooled), as_is,
      [this, source_digest, by, done = std::move(done)](Result<BrokerClient::Imported> imported) {
        if (!imported) return done(Failure(std::move(imported).error()));
        auto shared = std::make_shared<BrokerClient::Imported>(std::move(*imported));
        worker_->Post([this, source_digest, by, done, shared] {
          auto kept = std::make_shared<Result<Imported>>(Keep(std::move(*shared), source_digest, by));
          loop_.Post([done, kept] { done(std::move(*kept)); });
        });
      });
}

namespace {

// What the importer told. It had the image in its hands, so it is believed in nothing but this.
std::optional<content::Content> ReadContent(const UniqueFd& file) {
  if (!file) return std::nullopt;
  std::string bytes(content::kContentBytesMax, '\0');
  ssize_t n = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  auto told = content::DecodeContent(
      std::string_view(bytes).substr(0, static_cast<std::size_t>(std::max<ssize_t>(n, 0))));
  if (told) return std::move(*told);
  Log(Level::kWarn, "what is inside an imported image is not known", {{"reason", told.error().message}});
  return std::nullopt;
}

}  // namespace

// The catalogue comes last: an image that it knows is whole, and bytes that it does not know are garbage.
Result<ImageDesk::Imported> ImageDesk::Keep(BrokerClient::Imported imported, const std::string& source_digest,
                                            const Requester& by) {
  store::Writer writer = TRY(blobs_.NewBlob());
  TRY_CONTEXT(Copy(imported.file.get(), writer), "keeping the imported image");
  store::ImageFacts facts{.digest = imported.image.digest,
                          .source_digest = source_digest,
                          .size = imported.image.bytes,
                          .created = NowMs(),
                          .content = ReadContent(imported.content),
                          .holders = {by.uid}};
  for (const ImageSigner& one : imported.image.signers) facts.signers.push_back({one.key, one.name});
  {
    auto lock = LockFor(by);
    Pin(imported.image.digest);  // from before its bytes have their name until its own name or job comes
    if (!by.admin) TRY(CheckRoom(Cat("user:", by.uid), imported.image.digest, imported.image.bytes));
  }
  store::Blob blob = TRY_CONTEXT(writer.Finish(imported.image.digest), "keeping the imported image");
  auto lock = LockFor(by);
  mpi_of_.erase(blob.digest);
  TRY(catalogue_.KeepImage(facts));
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
