// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/pull.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <mutex>

#include "base/crypto/crypto.h"
#include "imagestore/build/userns.h"
#include "imagestore/oci/scripts.h"
#include "imagestore/oci/unprivileged.h"
#include "imagestore/sif/sif.h"

namespace slipway::oci {

namespace {

constexpr std::uint64_t kReportEvery = 4 << 20;  // bytes
constexpr std::size_t kCopyBytes = 1 << 20;

std::string DeffileText(const std::string& source) {
  std::size_t colon = source.find(':');
  std::string from = source.substr(std::min(source.size(), colon + 1));
  if (from.starts_with("//")) from.erase(0, 2);
  return Cat("Bootstrap: ", source.substr(0, colon), "\nFrom: ", from, "\n");
}

bool IsSifAlready(const Reference& reference) {
  return reference.scheme == Scheme::kOras || reference.scheme == Scheme::kHttp;
}

SourceOptions WithProgress(const PullOptions& options) {
  SourceOptions source = options.source;
  source.archive_bytes_max = options.limits.bytes_max;
  source.progress = options.progress;
  return source;
}

// Layers are brought while they are packed; whoever shows it is told of one at a time.
PullOptions OneAtATime(PullOptions options) {
  if (!options.progress) return options;
  options.progress = [told = std::move(options.progress), mutex = std::make_shared<std::mutex>()](
                         const std::string& what, std::uint64_t done, std::uint64_t total) {
    std::lock_guard lock(*mutex);
    told(what, done, total);
  };
  return options;
}

Result<BlobCache> OpenCache(const PullOptions& options) {
  std::string folder = options.cache_folder.empty() ? TRY(BlobCache::DefaultFolder()) : options.cache_folder;
  return BlobCache::Open(folder, options.source.registry.http.cancelled, TRY(BlobCache::DefaultBytes()));
}

squashfs::LayerPackOptions PackOptionsFor(const Image& image, const build::Labels& labels,
                                          const std::string& deffile, const PullOptions& options,
                                          std::uint64_t out_offset) {
  squashfs::LayerPackOptions made;
  made.pack.compressor = options.compressor;
  made.pack.limits = options.limits;
  made.pack.policy.ids_to_root = !options.keep_ids;
  made.pack.epoch = sif::SourceDateEpoch();
  made.pack.out_offset = out_offset;
  made.pack.flush_early = true;
  made.time = static_cast<std::uint32_t>(sif::SourceDateEpoch().value_or(std::time(nullptr)));
  made.over = ContainerFiles(image.config, labels, deffile);
  made.under = MountPoints();
  return made;
}

// What is wrong with a layer's bytes may be a lie of a mirror's, which the registry's own replace, or of the
// registry's, which their digest shows. Limits, settings, a full disk and who cancels are no matter of that:
// nothing that is still to come could change them.
bool IsOfTheBytes(const Error& error) {
  switch (error.code) {
    case Code::kOutOfRange:
    case Code::kPermissionDenied:
    case Code::kResourceExhausted:
    case Code::kCancelled:
      return false;
    default:
      return true;
  }
}

Result<squashfs::PackSummary> PackUnprivileged(const Image& image, int out_fd,
                                               squashfs::LayerPackOptions pack, const PullOptions& options) {
  const auto* cancelled = options.source.registry.http.cancelled;
  auto work = [&](const std::function<void(std::uint64_t)>& report) -> Result<std::string> {
    std::uint64_t next = 0;
    pack.pack.progress = [&](const squashfs::Progress& now) -> Result<> {
      if (cancelled != nullptr && cancelled->load()) return Fail(Code::kCancelled, "cancelled");
      if (now.bytes >= next) report(now.bytes);
      if (now.bytes >= next) next = now.bytes + kReportEvery;
      return {};
    };
    return build::EncodeSummary(TRY(squashfs::PackLayers(image.layers, out_fd, pack)));
  };
  auto reported = [&options](std::uint64_t bytes) {
    if (options.progress) options.progress("packing", bytes, 0);
  };
  bool good = false;
  std::function<Result<>()> beside;
  if (image.check)
    beside = [&]() -> Result<> {
      TRY(image.check());
      good = true;
      return {};
    };
  auto gives_up = [&image](const Error& why) {
    if (IsOfTheBytes(why) || !image.give_up) return false;
    image.give_up();
    return true;
  };
  auto packed = Unprivileged({work, reported, cancelled, beside, gives_up});
  if (good && image.read_too_early()) packed = Unprivileged({work, reported, cancelled, {}, {}});
  return build::DecodeSummary(TRY(std::move(packed)));
}

Result<squashfs::PackSummary> WriteSif(const Image& image, const std::string& source,
                                       const std::string& output, const PullOptions& options) {
  auto epoch = sif::SourceDateEpoch();
  build::Labels labels = LabelsOf(image.config, source, epoch.value_or(std::time(nullptr)));
  std::string deffile = DeffileText(source);
  sif::Writer writer = TRY(sif::Writer::Create(output, {.epoch = epoch}));
  TRY(writer.AddObject(sif::DataType::kDeffile, "Singularity", deffile));
  TRY(writer.AddObject(sif::DataType::kGenericJson, "oci-config.json", image.config_json));
  TRY(writer.AddObject(sif::DataType::kGenericJson, "inspect-metadata.json",
                       build::InspectMetadataJson(labels, deffile)));
  sif::Writer::Place place = TRY(writer.BeginPartition());
  auto packed = TRY(PackUnprivileged(image, place.fd,
                                     PackOptionsFor(image, labels, deffile, options, place.offset), options));
  std::string arch = image.config.arch.empty() ? std::string(sif::HostArch()) : image.config.arch;
  TRY(writer.EndPartition("squashfs-root", packed.bytes_out, sif::FsType::kSquashfs,
                          sif::PartType::kPrimarySystem, arch));
  TRY(writer.Commit());
  return packed;
}

// By the kernel where it can (of one file system it may share the blocks), else through a buffer.
Result<> CopyBytes(int fd, off_t size, int out_fd, const std::string& output) {
  std::string buffer;
  for (off_t at = 0; at < size;) {
    auto rest = static_cast<std::size_t>(size - at);
    ssize_t n = -1;
    if (buffer.empty()) {
      n = ::copy_file_range(fd, &at, out_fd, nullptr, rest, 0);
      bool cannot = n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS);
      if (cannot) buffer.resize(kCopyBytes);
      if (cannot) continue;
    } else {
      n = ::pread(fd, buffer.data(), std::min(rest, buffer.size()), at);
      if (n > 0) TRY_CONTEXT(WriteAll(out_fd, {buffer.data(), static_cast<std::size_t>(n)}), output);
      at += std::max<ssize_t>(n, 0);
    }
    if (n < 0 && errno != EINTR) return ErrnoFail("copy to", output);
    if (n == 0) return Fail(Code::kDataLoss, "the file became shorter while it was copied");
  }
  return {};
}

// A SIF that is in the cache, or in an unnamed file: linked or copied to where it is wanted.
Result<> CopyTo(int fd, const std::string& output) {
  std::string temporary = output + ".XXXXXX";
  UniqueFd out(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!out) return ErrnoFail("create", temporary);
  auto copy = [&]() -> Result<> {
    struct stat info;
    if (::fstat(fd, &info) < 0) return ErrnoFail("fstat");
    TRY(CopyBytes(fd, info.st_size, out.get(), output));
    mode_t mask = ::umask(077);
    ::umask(mask);
    if (::fchmod(out.get(), 0755 & ~mask) < 0) return ErrnoFail("fchmod", temporary);
    if (::fsync(out.get()) < 0) return ErrnoFail("fsync", temporary);
    if (::rename(temporary.c_str(), output.c_str()) < 0) return ErrnoFail("rename to", output);
    return {};
  };
  auto done = copy();
  if (!done) ::unlink(temporary.c_str());
  return done;
}

Result<> Finish(Pulled& pulled, const std::string& path, bool digest) {
  UniqueFd fd = TRY(Open(path, O_RDONLY));
  struct stat info;
  if (::fstat(fd.get(), &info) < 0) return ErrnoFail("fstat", path);
  pulled.size = static_cast<std::uint64_t>(info.st_size);
  if (digest) pulled.digest = TRY(DigestOfFile(fd.get()));
  return {};
}

// Equal keys, equal files: what it was made of, and how.
std::string CacheKey(const std::string& digest, const PullOptions& options) {
  std::string arch = options.source.arch.empty() ? std::string(sif::HostArch()) : options.source.arch;
  for (char& c : arch) c = c == '/' ? '.' : c;
  return Cat(digest.substr(digest.find(':') + 1), ".", arch, ".", static_cast<int>(options.compressor),
             options.keep_ids ? ".ids" : "", ".sif");
}

}  // namespace

Result<Pulled> Pull(const Reference& reference, const std::string& output, const PullOptions& asked) {
  PullOptions options = OneAtATime(asked);
  BlobCache cache = TRY(OpenCache(options));
  Pulled pulled;
  if (IsSifAlready(reference)) {
    UniqueFd file = TRY(FetchSif(reference, cache, WithProgress(options)));
    TRY(CopyTo(file.get(), output));
  } else {
    Image image = TRY(OpenImage(reference, cache, WithProgress(options)));
    pulled.manifest_digest = image.manifest_digest;
    pulled.dropped = TRY(WriteSif(image, reference.text, output, options)).dropped;
  }
  TRY(Finish(pulled, output, options.digest));
  return pulled;
}

Result<std::string> PullToCache(const Reference& reference, const PullOptions& asked) {
  PullOptions options = OneAtATime(asked);
  BlobCache cache = TRY(OpenCache(options));
  SourceOptions source = WithProgress(options);
  if (reference.scheme == Scheme::kHttp) {
    UniqueFd file = TRY(FetchSif(reference, cache, source));
    std::string digest = TRY(DigestOfFile(file.get()));
    return cache.Made(CacheKey(digest, options),
                      [&](const std::string& path) { return CopyTo(file.get(), path); });
  }
  if (reference.scheme == Scheme::kOras) {
    std::string digest = TRY(ResolveDigest(reference, source));
    return cache.Made(CacheKey(digest, options), [&](const std::string& path) -> Result<> {
      Reference pinned = reference;
      pinned.digest = digest;
      UniqueFd file = TRY(FetchSif(pinned, cache, source));
      return CopyTo(file.get(), path);
    });
  }
  auto make = [&](const Reference& from) {
    return [&, from](const std::string& path) -> Result<> {
      Image image = TRY(OpenImage(from, cache, source));
      TRY(WriteSif(image, reference.text, path, options));
      return {};
    };
  };
  if (reference.scheme == Scheme::kDocker) {
    Reference pinned = reference;
    pinned.digest = TRY(ResolveDigest(reference, source));
    return cache.Made(CacheKey(pinned.digest, options), make(pinned));
  }
  Image image = TRY(OpenImage(reference, cache, source));
  return cache.Made(CacheKey(image.manifest_digest, options), make(reference));
}

}  // namespace slipway::oci
