// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/blob_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <tuple>

#include "base/crypto/crypto.h"

namespace slipway::oci {

Result<std::string> BlobCache::DefaultFolder() {
  if (const char* named = std::getenv("SLIPWAY_CACHE"); named != nullptr && *named != '\0')
    return std::string(named);
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/')
    return Cat(cache, "/slipway");
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/')
    return Fail(Code::kFailedPrecondition, "HOME is not set; set SLIPWAY_CACHE");
  return Cat(home, "/.cache/slipway");
}

Result<BlobCache> BlobCache::Open(const std::string& folder, const std::atomic<bool>* cancelled) {
  for (const char* part : {"/blobs/sha256", "/images", "/locks"}) TRY(MakeDirectories(folder + part, 0700));
  return BlobCache(folder, cancelled);
}

Result<UniqueFd> BlobCache::LockFile(const std::string& name) const {
  return slipway::Open(Cat(folder_, "/locks/", name), O_RDWR | O_CREAT, 0600);
}

// Waits for whoever is at it. Lock files stay: taking one away would let two hold it.
Result<UniqueFd> BlobCache::Lock(const std::string& name) const {
  UniqueFd lock = TRY(LockFile(name));
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoFail("flock", folder_);
    if (cancelled_ != nullptr && cancelled_->load()) return Fail(Code::kCancelled, "cancelled");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return lock;
}

Result<UniqueFd> BlobCache::Get(const std::string& digest, std::uint64_t size, const Fetch& fetch) {
  CHECK(IsDigest(digest));
  std::string hex = digest.substr(7), path = Cat(folder_, "/blobs/sha256/", hex), part = path + ".part";
  auto there = [&]() -> Result<UniqueFd> {
    UniqueFd fd = TRY(slipway::Open(path, O_RDONLY));
    if (TRY(SizeOfFile(fd.get())) != size)
      return Fail(Code::kDataLoss, path, " has another size than it should");
    return fd;
  };
  if (auto fd = there()) return fd;
  UniqueFd lock = TRY(Lock(hex));
  if (auto fd = there()) return fd;
  UniqueFd fd = TRY(slipway::Open(part, O_RDWR | O_CREAT, 0600));
  std::uint64_t have = TRY(SizeOfFile(fd.get()));
  if (have > size) {
    if (::ftruncate(fd.get(), 0) < 0) return ErrnoFail("ftruncate", part);
    have = 0;
  }
  TRY(fetch(fd.get(), have));
  std::uint64_t got = TRY(SizeOfFile(fd.get()));
  if (got != size || TRY(DigestOfFile(fd.get())) != digest) {
    ::unlink(part.c_str());
    return Fail(Code::kDataLoss, "what came is not ", digest, " (", got, " bytes of ", size,
                "): the server lies, or something on the way changed it");
  }
  if (::fsync(fd.get()) < 0) return ErrnoFail("fsync", part);
  if (::rename(part.c_str(), path.c_str()) < 0) return ErrnoFail("rename", part);
  return there();
}

Result<std::string> BlobCache::Made(const std::string& key,
                                    const std::function<Result<>(const std::string& path)>& make) {
  std::string path = Cat(folder_, "/images/", key);
  if (::access(path.c_str(), R_OK) == 0) return path;
  UniqueFd lock = TRY(Lock(key));
  if (::access(path.c_str(), R_OK) == 0) return path;
  std::string unfinished = path + ".new";
  ::unlink(unfinished.c_str());
  TRY(make(unfinished));
  if (::rename(unfinished.c_str(), path.c_str()) < 0) return ErrnoFail("rename", unfinished);
  return path;
}

Result<std::vector<BlobCache::Item>> BlobCache::Items() const {
  std::vector<Item> items;
  for (const auto& [kind, folder] :
       {std::pair{"layer", "/blobs/sha256"}, {"image", "/images"}, {"build", "/builds"}}) {
    auto names = NamesIn(folder_ + folder);
    if (!names && names.error().sys_errno == ENOENT) continue;
    for (const std::string& name : TRY(std::move(names))) {
      std::string path = Cat(folder_, folder, "/", name);
      struct stat info;
      if (::lstat(path.c_str(), &info) < 0 || !S_ISREG(info.st_mode)) continue;
      items.push_back({kind, path, name, static_cast<std::uint64_t>(info.st_size),
                       std::max<std::int64_t>(info.st_atime, info.st_mtime)});
    }
  }
  std::sort(items.begin(), items.end(),
            [](const Item& a, const Item& b) { return std::tie(a.used, a.path) < std::tie(b.used, b.path); });
  return items;
}

// Whoever brings a layer or makes an image holds the lock of its name; a build's state has its name when it
// is whole.
Result<bool> BlobCache::Remove(const Item& item) const {
  UniqueFd lock =
      TRY(LockFile(item.name.substr(0, item.name.rfind(item.kind == "layer" ? ".part" : ".new"))));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) return false;
    return ErrnoFail("flock", folder_);
  }
  if (::unlink(item.path.c_str()) < 0 && errno != ENOENT) return ErrnoFail("unlink", item.path);
  return true;
}

Result<UniqueFd> BlobCache::Temporary() const { return slipway::Open(folder_, O_TMPFILE | O_RDWR, 0600); }

}  // namespace slipway::oci
