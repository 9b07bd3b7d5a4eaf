// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <mutex>
#include <thread>

#include "base/crypto/crypto.h"
#include "base/text/units.h"
#include "imagestore/oci/archive_index.h"
#include "imagestore/oci/growing.h"
#include "imagestore/oci/mirrors.h"
#include "imagestore/sif/sif.h"

namespace slipway::oci {

namespace {

constexpr std::size_t kSmallMax = 8 << 20;

std::string ArchOf(const SourceOptions& options) {
  return options.arch.empty() ? std::string(sif::HostArch()) : options.arch;
}

Result<> CheckLayers(const Manifest& manifest) {
  for (const Descriptor& layer : manifest.layers) {
    if (IsTarLayer(layer.media_type)) continue;
    if (IsSifLayer(layer.media_type))
      return Fail(Code::kInvalidArgument, "it holds a SIF, not layers; write oras:// instead of docker://");
    return Fail(Code::kInvalidArgument, "it holds ",
                layer.media_type.empty() ? "something without a type" : layer.media_type,
                ", which is no layer of a root file system");
  }
  return {};
}

// An index has chosen; an image without one is of one architecture, which must be the one that was asked for.
Result<> CheckArch(const ImageConfig& config, const std::string& asked) {
  std::string arch = asked.substr(0, asked.find('/'));
  if (arch.empty() || config.arch.empty() || config.arch == arch) return {};
  return Fail(Code::kNotFound, "the image is not there for linux/", asked, "; there is linux/", config.arch);
}

// Blobs side by side. The first error ends the others. They have the right sizes then; Keep checks them.
class Downloads {
 public:
  // `given_up`: what the registry's transfers look at, where GiveUp is to be called.
  Downloads(Repository registry, BlobCache& cache, const SourceOptions& options,
            std::vector<Descriptor> blobs, std::shared_ptr<std::atomic<bool>> given_up = nullptr)
      : registry_(std::move(registry)),
        cache_(cache),
        options_(options),
        blobs_(std::move(blobs)),
        given_up_(std::move(given_up)) {}

  // Before Run: who has these files may read them while they grow. All of them or none: false where somebody
  // else is at one, or one is there twice or by half.
  Result<bool> Begin() {
    for (const Descriptor& blob : blobs_) {
      auto begun = TRY(cache_.Begin(blob.digest, blob.size));
      if (!begun) {
        brought_.clear();
        growths_.clear();
        return false;
      }
      growths_.push_back(TRY(Growth::Make()));
      if (!begun->lock) growths_.back()->Done();
      brought_.push_back(std::move(*begun));
    }
    return true;
  }
  int fd(std::size_t i) const { return brought_[i].file.get(); }
  // After Run: whether one came anew from its start, when others may have read what it was before. They may
  // read them from now on without waiting.
  bool Restarted() const {
    bool restarted = false;
    for (auto& growth : growths_) {
      restarted |= growth->restarted();
      growth->Done();
    }
    return restarted;
  }
  std::shared_ptr<Growth> growth(std::size_t i) const { return growths_[i]; }
  void GiveUp() { given_up_->store(true); }

  Result<std::vector<BlobCache::Brought>> Run() {
    brought_.resize(blobs_.size());
    std::vector<std::thread> threads;
    std::size_t count = std::min<std::size_t>(std::max(1U, options_.downloads), blobs_.size());
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { Work(); });
    for (std::thread& thread : threads) thread.join();
    if (failed_) return Failure(std::move(*failed_));
    return std::move(brought_);
  }

 private:
  void Work() {
    Repository mine = registry_.Another();
    for (;;) {
      std::size_t i;
      {
        std::lock_guard lock(mutex_);
        if (failed_ || next_ == blobs_.size()) return;
        i = next_++;
      }
      auto brought = growths_.empty() ? Bring(i, mine) : Fill(i, mine);
      if (brought) Report(i, blobs_[i].size);
      std::lock_guard lock(mutex_);
      if (brought) {
        brought_[i] = std::move(*brought);
        if (!keep_at_once_) continue;
      }
      auto kept = brought ? cache_.Keep(brought_[i]) : Result<>(Failure(std::move(brought).error()));
      if (!kept && !failed_) failed_ = std::move(kept).error();
    }
  }
  Result<BlobCache::Brought> Fill(std::size_t i, Repository& registry) {
    BlobCache::Brought begun = std::move(brought_[i]);
    auto filled = cache_.Fill(begun, blobs_[i].size, Fetching(i, registry));
    if (filled) return begun;
    growths_[i]->Fail();
    // It stays open: somebody may be reading it this moment, and its number would be the next file's.
    begun.lock.reset();  // others need not wait for us
    std::lock_guard lock(mutex_);
    brought_[i] = std::move(begun);
    return Failure(std::move(filled).error());
  }
  BlobCache::Fetch Fetching(std::size_t i, Repository& registry) {
    return [this, i, &registry](int fd, std::uint64_t have) {
      Report(i, have);
      return registry.GetBlob(blobs_[i], fd, have, [this, i](std::uint64_t now) { Report(i, now); });
    };
  }
  Result<BlobCache::Brought> Bring(std::size_t i, Repository& registry) {
    const Descriptor& blob = blobs_[i];
    auto fetch = Fetching(i, registry);
    auto brought = TRY(cache_.Bring(blob.digest, blob.size, fetch));
    if (brought) return std::move(*brought);
    // Another process is bringing it, who may be waiting for what we have.
    {
      std::lock_guard lock(mutex_);
      keep_at_once_ = true;
      for (BlobCache::Brought& one : brought_) TRY(cache_.Keep(one));
    }
    return BlobCache::Brought{
        .file = TRY(cache_.Get(blob.digest, blob.size, fetch)), .digest = blob.digest, .is_checked = true};
  }
  void Report(std::size_t i, std::uint64_t now) {
    if (!growths_.empty()) growths_[i]->Tell(now);
    if (!options_.progress) return;
    std::lock_guard lock(mutex_);
    options_.progress("layer " + blobs_[i].digest.substr(7, 12), now, blobs_[i].size);
  }

  Repository registry_;
  BlobCache& cache_;
  SourceOptions options_;
  std::vector<Descriptor> blobs_;
  std::shared_ptr<std::atomic<bool>> given_up_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::optional<Error> failed_;
  bool keep_at_once_ = false;
  std::vector<BlobCache::Brought> brought_;
  std::vector<std::shared_ptr<Growth>> growths_;  // of those that are read while they come
};

Result<Registry::FetchedManifest> ManifestFor(Repository& registry, const Reference& reference,
                                              const std::string& arch) {
  auto fetched = TRY(registry.GetManifest(reference.Selected()));
  // An index may hold an index; more than one step is a game.
  for (int depth = 0; fetched.manifest.is_index; ++depth) {
    if (depth == 3) return Fail(Code::kInvalidArgument, reference.text, ": indexes within indexes");
    Descriptor mine = TRY_CONTEXT(SelectPlatform(fetched.manifest, arch), reference.text);
    fetched = TRY(registry.GetManifest(mine.digest));
  }
  return fetched;
}

Result<Image> FromRegistry(const Reference& reference, BlobCache& cache, const SourceOptions& options) {
  RegistryOptions asked = options.registry;
  auto given_up = std::make_shared<std::atomic<bool>>(false);
  asked.http.given_up = given_up;
  Repository registry = TRY(Repository::Of(reference, asked));
  auto fetched = TRY(ManifestFor(registry, reference, ArchOf(options)));
  TRY_CONTEXT(CheckLayers(fetched.manifest), reference.text);
  Image image;
  image.manifest_digest = fetched.digest;
  image.config_json = TRY(registry.GetSmallBlob(fetched.manifest.config));
  image.config = TRY(ParseImageConfig(image.config_json));
  TRY_CONTEXT(CheckArch(image.config, options.arch), reference.text);
  auto downloads = std::make_shared<Downloads>(std::move(registry), cache, options, fetched.manifest.layers,
                                               std::move(given_up));
  bool grows = TRY(downloads->Begin());
  auto brought = std::make_shared<std::vector<BlobCache::Brought>>();
  if (!grows) *brought = TRY(downloads->Run());
  for (std::size_t i = 0; i < fetched.manifest.layers.size(); ++i) {
    const Descriptor& layer = fetched.manifest.layers[i];
    int fd = grows ? downloads->fd(i) : (*brought)[i].file.get();
    auto growth = grows ? downloads->growth(i) : nullptr;
    image.bytes += layer.size;
    image.layers.push_back(
        {layer.digest, [fd, size = layer.size, growth]() -> Result<std::unique_ptr<squashfs::ByteSource>> {
           if (growth == nullptr || growth->done()) return squashfs::FilePart(fd, 0, size);
           return GrowingFile(fd, size, growth);
         }});
  }
  image.check = [=, &cache]() -> Result<> {
    if (grows) *brought = TRY(downloads->Run());
    for (BlobCache::Brought& one : *brought) TRY(cache.Keep(one));
    return {};
  };
  image.give_up = [=] { downloads->GiveUp(); };
  image.read_too_early = [=] { return grows && downloads->Restarted(); };
  return image;
}

// A folder of blobs or an archive of them: both are asked by name.
class Blobs {
 public:
  virtual ~Blobs() = default;
  virtual Result<std::string> Small(const std::string& name) = 0;
  // Opens a part of a file; `keep` gets what must stay open.
  virtual Result<squashfs::Layer> Layer(const std::string& name, const std::string& digest,
                                        std::uint64_t& size, std::vector<UniqueFd>& keep) = 0;
};

squashfs::Layer PartLayer(int fd, std::uint64_t offset, std::uint64_t size, std::string name,
                          std::string digest) {
  return {std::move(name), [=]() -> Result<std::unique_ptr<squashfs::ByteSource>> {
            auto part = squashfs::FilePart(fd, offset, size);
            return digest.empty() ? std::move(part) : CheckedSource(std::move(part), digest);
          }};
}

class FolderBlobs : public Blobs {
 public:
  explicit FolderBlobs(std::string path) : path_(std::move(path)) {}
  Result<std::string> Small(const std::string& name) override {
    return ReadFile(Cat(path_, "/", name), kSmallMax);
  }
  Result<squashfs::Layer> Layer(const std::string& name, const std::string& digest, std::uint64_t& size,
                                std::vector<UniqueFd>& keep) override {
    keep.push_back(TRY(Open(Cat(path_, "/", name), O_RDONLY | O_NONBLOCK)));
    struct stat info;
    if (::fstat(keep.back().get(), &info) < 0) return ErrnoFail("fstat", name);
    size = static_cast<std::uint64_t>(info.st_size);
    return PartLayer(keep.back().get(), 0, size, name, digest);
  }

 private:
  std::string path_;
};

class ArchiveBlobs : public Blobs {
 public:
  explicit ArchiveBlobs(ArchiveIndex index) : index_(std::move(index)) {}
  Result<std::string> Small(const std::string& name) override { return index_.ReadSmall(name, kSmallMax); }
  Result<squashfs::Layer> Layer(const std::string& name, const std::string& digest, std::uint64_t& size,
                                std::vector<UniqueFd>& keep) override {
    auto member = TRY(index_.Find(name));
    size = member.size;
    if (keep.empty()) keep.push_back(TRY(Dup(index_.fd())));
    return PartLayer(keep[0].get(), member.offset, member.size, name, digest);
  }

 private:
  ArchiveIndex index_;
};

std::string BlobName(const std::string& digest) { return Cat("blobs/sha256/", digest.substr(7)); }

Result<std::string> CheckedSmall(Blobs& blobs, const std::string& digest) {
  std::string bytes = TRY(blobs.Small(BlobName(digest)));
  if (DigestOf(bytes) != digest)
    return Fail(Code::kDataLoss, "blob ", digest, " has other bytes than it should");
  return bytes;
}

constexpr char kRefName[] = "org.opencontainers.image.ref.name";

Result<Manifest> ManifestInLayout(Blobs& blobs, const std::string& selector, const std::string& arch,
                                  std::string& digest) {
  Manifest manifest = TRY(ParseManifest(TRY(blobs.Small("index.json"))));
  if (!selector.empty()) {
    std::string known;
    std::vector<Descriptor> chosen;
    for (const Descriptor& one : manifest.manifests) {
      auto name = one.annotations.find(kRefName);
      if (name != one.annotations.end() && known.size() < 300) known += " " + name->second;
      if ((name != one.annotations.end() && name->second == selector) || one.digest == selector)
        chosen.push_back(one);
    }
    if (chosen.empty())
      return Fail(Code::kNotFound, "there is no image ", selector, " in it",
                  known.empty() ? "" : "; there is", known);
    manifest.manifests = std::move(chosen);
  }
  for (int depth = 0; manifest.is_index; ++depth) {
    if (depth == 4) return Fail(Code::kInvalidArgument, "indexes within indexes");
    Descriptor mine = manifest.manifests.size() == 1 && (manifest.manifests[0].arch.empty())
                          ? manifest.manifests[0]
                          : TRY(SelectPlatform(manifest, arch));
    digest = mine.digest;
    manifest = TRY(ParseManifest(TRY(CheckedSmall(blobs, digest))));
  }
  return manifest;
}

Result<Image> FromLayout(Blobs& blobs, const Reference& reference, const std::string& arch) {
  Image image;
  Manifest manifest = TRY(ManifestInLayout(blobs, reference.selector, arch, image.manifest_digest));
  TRY(CheckLayers(manifest));
  image.config_json = TRY(CheckedSmall(blobs, manifest.config.digest));
  image.config = TRY(ParseImageConfig(image.config_json));
  for (const Descriptor& layer : manifest.layers) {
    std::uint64_t size = 0;
    image.layers.push_back(TRY(blobs.Layer(BlobName(layer.digest), layer.digest, size, image.files)));
    if (size != layer.size)
      return Fail(Code::kDataLoss, "blob ", layer.digest, " has another size than it should");
    image.bytes += size;
  }
  return image;
}

Result<SavedImage> ChooseSaved(const std::vector<SavedImage>& images, const std::string& selector) {
  std::string known;
  for (const SavedImage& image : images) {
    for (const std::string& name : image.names) {
      known += " " + name;
      if (name == selector || (!selector.empty() && name.ends_with("/" + selector))) return image;
    }
  }
  if (selector.empty() && images.size() == 1) return images[0];
  return Fail(Code::kNotFound,
              selector.empty() ? "there is more than one image in it, or none; say which"
                               : Cat("there is no image ", selector, " in it"),
              known.empty() ? "" : "; there is", known);
}

// Newer `docker save`s write layers as blobs whose names are their digests, older ones tars of which the
// configuration has the digest.
std::string DigestOfSaved(const std::string& name, bool compressed, const std::string& diff_id) {
  constexpr std::string_view kBlobs = "blobs/sha256/";
  std::string digest = name.starts_with(kBlobs) ? "sha256:" + name.substr(kBlobs.size()) : std::string();
  if (IsDigest(digest)) return digest;
  return compressed ? std::string() : diff_id;
}

Result<Image> FromSaved(const Reference& reference, const std::string& scratch_folder,
                        std::uint64_t bytes_max) {
  ArchiveBlobs blobs(TRY(ArchiveIndex::Open(reference.path, scratch_folder, bytes_max)));
  SavedImage saved =
      TRY(ChooseSaved(TRY(ParseSavedImages(TRY(blobs.Small("manifest.json")))), reference.selector));
  Image image;
  image.config_json = TRY(blobs.Small(saved.config));
  image.config = TRY(ParseImageConfig(image.config_json));
  image.manifest_digest = DigestOf(image.config_json);
  if (image.config.diff_ids.size() != saved.layers.size())
    return Fail(Code::kInvalidArgument,
                "manifest.json and the configuration disagree on the number of layers");
  for (std::size_t i = 0; i < saved.layers.size(); ++i) {
    std::uint64_t size = 0;
    auto probe = TRY(blobs.Layer(saved.layers[i], "", size, image.files));
    char magic[2] = {};
    TRY(TRY(probe.open())->Read(magic));
    bool compressed =
        (magic[0] == '\x1f' && magic[1] == '\x8b') || (magic[0] == '\x28' && magic[1] == '\xb5');
    std::string digest = DigestOfSaved(saved.layers[i], compressed, image.config.diff_ids[i]);
    image.layers.push_back(TRY(blobs.Layer(saved.layers[i], digest, size, image.files)));
    image.bytes += size;
  }
  return image;
}

Result<UniqueFd> CheckSif(UniqueFd file, const std::string& where) {
  if (!sif::LooksLikeSif(file.get())) return Fail(Code::kInvalidArgument, where, ": is no SIF");
  TRY_CONTEXT(sif::Read(file.get()), where);
  return file;
}

Result<UniqueFd> FromOras(const Reference& reference, BlobCache& cache, const SourceOptions& options) {
  Repository registry = TRY(Repository::Of(reference, options.registry));
  auto fetched = TRY(ManifestFor(registry, reference, ArchOf(options)));
  if (fetched.manifest.layers.size() != 1 || !IsSifLayer(fetched.manifest.layers[0].media_type))
    return Fail(Code::kInvalidArgument, reference.text,
                ": it holds no SIF; write docker:// for images of layers");
  auto brought = TRY(Downloads(std::move(registry), cache, options, fetched.manifest.layers).Run());
  TRY(cache.Keep(brought[0]));
  return CheckSif(std::move(brought[0].file), reference.text);
}

Result<UniqueFd> FromHttp(const Reference& reference, BlobCache& cache, const SourceOptions& options) {
  UniqueFd file = TRY(cache.Temporary());
  Http http(options.registry.http);
  std::uint64_t have = 0, furthest = 0, total = 0;
  std::string version;  // of the file: nothing else tells whether a rest belongs to what is here
  for (unsigned tried = 0;;) {
    HttpRequest request;
    request.url = reference.url;
    if (have > 0 && !version.empty())
      request.headers = {Cat("Range: bytes=", have, "-"), Cat("If-Range: ", version)};
    request.begin = [&](long status, const HttpRequest::Headers& headers) -> Result<> {
      auto text = [&](const char* name) {
        auto header = headers.find(name);
        return header == headers.end() ? std::string() : header->second;
      };
      if (status == 206 && text("content-range").starts_with(Cat("bytes ", have, "-"))) return {};
      if (status == 206)
        return Fail(Code::kUnavailable, reference.url, ": the server gives another part than was asked for");
      version = text("etag");
      if (version.starts_with("W/")) version.clear();
      if (version.empty()) version = text("last-modified");
      total = ParseNumber(text("content-length"), 0, INT64_MAX).value_or(0);
      have = 0;
      if (::ftruncate(file.get(), 0) < 0 || ::lseek(file.get(), 0, SEEK_SET) < 0)
        return ErrnoFail("ftruncate");
      return {};
    };
    request.sink = [&](std::string_view bytes) -> Result<> {
      if (bytes.size() > options.archive_bytes_max - have)
        return Fail(Code::kOutOfRange, reference.url, ": sends more than ",
                    FormatBytes(options.archive_bytes_max), " (--max-bytes)");
      TRY(WriteAll(file.get(), bytes));
      have += bytes.size();
      if (options.progress) options.progress("downloading", have, total);
      return {};
    };
    auto response = http.Send(request);
    if (response && (response->status == 200 || response->status == 206)) break;
    if (response) return Fail(Code::kNotFound, reference.url, ": the server says ", response->status);
    bool broke_off =
        response.error().code == Code::kUnavailable || response.error().code == Code::kDeadlineExceeded;
    if (have > furthest) tried = 0;
    furthest = std::max(furthest, have);
    if (!broke_off || !http.WaitBeforeTry(tried++)) return Failure(std::move(response).error());
  }
  return CheckSif(std::move(file), reference.url);
}

}  // namespace

Result<Image> OpenImage(const Reference& reference, BlobCache& cache, const SourceOptions& options) {
  switch (reference.scheme) {
    case Scheme::kDocker:
      return FromRegistry(reference, cache, options);
    case Scheme::kOciDirectory: {
      FolderBlobs blobs(reference.path);
      return TRY_CONTEXT(FromLayout(blobs, reference, ArchOf(options)), reference.path);
    }
    case Scheme::kOciArchive: {
      ArchiveBlobs blobs(TRY(ArchiveIndex::Open(reference.path, cache.folder(), options.archive_bytes_max)));
      return TRY_CONTEXT(FromLayout(blobs, reference, ArchOf(options)), reference.path);
    }
    case Scheme::kDockerArchive:
      return TRY_CONTEXT(FromSaved(reference, cache.folder(), options.archive_bytes_max), reference.path);
    case Scheme::kOras:
    case Scheme::kHttp:
      break;
  }
  return Fail(Code::kInvalidArgument, reference.text, ": is a SIF already");
}

Result<UniqueFd> FetchSif(const Reference& reference, BlobCache& cache, const SourceOptions& options) {
  return reference.scheme == Scheme::kOras ? FromOras(reference, cache, options)
                                           : FromHttp(reference, cache, options);
}

Result<std::string> ResolveDigest(const Reference& reference, const SourceOptions& options) {
  if (!reference.digest.empty()) return reference.digest;
  Repository registry = TRY(Repository::Of(reference, options.registry));
  std::string digest = TRY(registry.DigestOfTag(reference.tag));
  if (!digest.empty()) return digest;
  return TRY(registry.GetManifest(reference.tag)).digest;
}

}  // namespace slipway::oci
