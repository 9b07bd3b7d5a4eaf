// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/blob_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <tuple>

#include "base/crypto/crypto.h"
#include "base/text/units.h"

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

Result<std::uint64_t> BlobCache::DefaultBytes() {
  const char* text = std::getenv("SLIPWAY_CACHE_MAX");
  if (text == nullptr || *text == '\0') return kBytes;
  return TRY_CONTEXT(ParseBytes(text), "SLIPWAY_CACHE_MAX");
}

Result<BlobCache> BlobCache::Open(const std::string& folder, const std::atomic<bool>* cancelled,
                                  std::uint64_t bytes_max) {
  for (const char* part : {"/blobs/sha256", "/images", "/locks"}) TRY(MakeDirectories(folder + part, 0700));
  return BlobCache(folder, cancelled, bytes_max);
}

namespace {

// By hand: mounts may be noatime.
void NoteUse(int fd) {
  timespec used[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ::futimens(fd, used);
}

}  // namespace

// A cache that cannot be tidied is still one: whatever keeps a file here, the next call tries again.
void BlobCache::MakeRoom(std::uint64_t bytes) const {
  auto items = bytes_max_ > 0 ? Items() : std::vector<Item>();
  if (!items) return;
  std::erase_if(*items, [](const Item& item) { return item.kind == "build"; });
  for (const Item& item : *items) bytes += item.bytes;
  const std::int64_t recent = std::time(nullptr) - kStays;
  for (const Item& item : *items) {
    if (bytes <= bytes_max_ || item.used > recent) return;
    auto gone = Remove(item);
    if (gone && *gone) bytes -= item.bytes;
  }
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

Result<UniqueFd> BlobCache::There(const std::string& digest, std::uint64_t size) const {
  std::string path = PathOf(digest);
  UniqueFd fd = TRY(slipway::Open(path, O_RDONLY));
  if (TRY(SizeOfFile(fd.get())) != size)
    return Fail(Code::kDataLoss, path, " has another size than it should");
  NoteUse(fd.get());
  return fd;
}

Result<UniqueFd> BlobCache::Get(const std::string& digest, std::uint64_t size, const Fetch& fetch) {
  CHECK(IsDigest(digest));
  if (auto fd = There(digest, size)) return fd;
  UniqueFd lock = TRY(Lock(digest.substr(7)));
  if (auto fd = There(digest, size)) return fd;
  Brought brought = TRY(BringLocked(std::move(lock), digest, size, fetch));
  TRY(Keep(brought));
  return std::move(brought.file);
}

// What is there; else the lock and no file; nothing when somebody else has that.
Result<std::optional<BlobCache::Brought>> BlobCache::ThereOrLocked(const std::string& digest,
                                                                   std::uint64_t size) const {
  CHECK(IsDigest(digest));
  Brought brought{.digest = digest};
  auto is_there = [&] {
    auto fd = There(digest, size);
    brought.is_checked = static_cast<bool>(fd);
    if (fd) brought.file = std::move(*fd);
    return brought.is_checked;
  };
  if (is_there()) return brought;
  UniqueFd lock = TRY(LockFile(digest.substr(7)));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) return std::optional<Brought>();
    return ErrnoFail("flock", folder_);
  }
  if (!is_there()) brought.lock = std::move(lock);
  return brought;
}

Result<std::optional<BlobCache::Brought>> BlobCache::Bring(const std::string& digest, std::uint64_t size,
                                                           const Fetch& fetch) {
  auto brought = TRY(ThereOrLocked(digest, size));
  if (!brought || !brought->lock) return brought;
  return TRY(BringLocked(std::move(brought->lock), digest, size, fetch));
}

Result<std::optional<BlobCache::Brought>> BlobCache::Begin(const std::string& digest, std::uint64_t size) {
  auto brought = TRY(ThereOrLocked(digest, size));
  if (!brought || !brought->lock) return brought;
  brought->file = TRY(slipway::Open(PathOf(digest) + ".part", O_RDONLY | O_CREAT, 0600));
  if (TRY(SizeOfFile(brought->file.get())) > 0) return std::optional<Brought>();
  return brought;
}

Result<> BlobCache::Fill(Brought& begun, std::uint64_t size, const Fetch& fetch) const {
  if (!begun.lock) return {};
  MakeRoom(size);
  // Not before: a child that has come since shall not have it.
  UniqueFd fd = TRY(slipway::Open(PathOf(begun.digest) + ".part", O_RDWR));
  TRY(fetch(fd.get(), 0));
  return TRY(SizeOfFile(fd.get())) == size ? Result<>() : Refuse(begun);
}

Result<BlobCache::Brought> BlobCache::BringLocked(UniqueFd lock, const std::string& digest,
                                                  std::uint64_t size, const Fetch& fetch) const {
  std::string part = PathOf(digest) + ".part";
  UniqueFd fd = TRY(slipway::Open(part, O_RDWR | O_CREAT, 0600));
  std::uint64_t have = TRY(SizeOfFile(fd.get()));
  if (have > size) {
    if (::ftruncate(fd.get(), 0) < 0) return ErrnoFail("ftruncate", part);
    have = 0;
  }
  MakeRoom(size - have);
  TRY(fetch(fd.get(), have));
  Brought brought{.digest = digest, .lock = std::move(lock)};
  // What was left of an earlier try may be damaged: a crash loses bytes that nobody had flushed.
  if (have > 0) {
    brought.is_checked = TRY(DigestOfFile(fd.get())) == digest;
    if (!brought.is_checked) {
      if (::ftruncate(fd.get(), 0) < 0 || ::lseek(fd.get(), 0, SEEK_SET) < 0)
        return ErrnoFail("ftruncate", part);
      TRY(fetch(fd.get(), 0));
    }
  }
  // Whoever reads it from here on cannot change it.
  brought.file = TRY(slipway::Open(part, O_RDONLY));
  if (TRY(SizeOfFile(fd.get())) != size) TRY(Refuse(brought));
  return brought;
}

Result<> BlobCache::Refuse(const Brought& brought) const {
  std::uint64_t got = TRY(SizeOfFile(brought.file.get()));
  ::unlink((PathOf(brought.digest) + ".part").c_str());
  return Fail(Code::kDataLoss, "what came is not ", brought.digest, " (", got,
              " bytes): the server lies, or something on the way changed it");
}

Result<> BlobCache::Keep(Brought& brought) const {
  if (!brought.lock) return {};
  auto kept = KeepLocked(brought);
  // Whatever came of it, others may be waiting; and by hand, because a child may have the descriptor, too.
  ::flock(brought.lock.get(), LOCK_UN);
  brought.lock.reset();
  return kept;
}

Result<> BlobCache::KeepLocked(Brought& brought) const {
  if (!brought.is_checked && TRY(DigestOfFile(brought.file.get())) != brought.digest) return Refuse(brought);
  brought.is_checked = true;
  std::string path = PathOf(brought.digest), part = path + ".part";
  if (::fsync(brought.file.get()) < 0) return ErrnoFail("fsync", part);
  if (::rename(part.c_str(), path.c_str()) < 0) return ErrnoFail("rename", part);
  NoteUse(brought.file.get());
  return {};
}

Result<std::string> BlobCache::Made(const std::string& key,
                                    const std::function<Result<>(const std::string& path)>& make) {
  std::string path = Cat(folder_, "/images/", key);
  auto there = [&] {
    auto fd = slipway::Open(path, O_RDONLY);
    if (fd) NoteUse(fd->get());
    return static_cast<bool>(fd);
  };
  if (there()) return path;
  UniqueFd lock = TRY(Lock(key));
  if (there()) return path;
  std::string unfinished = path + ".new";
  ::unlink(unfinished.c_str());
  TRY(make(unfinished));
  UniqueFd made = TRY(slipway::Open(unfinished, O_RDONLY));
  if (::fsync(made.get()) < 0) return ErrnoFail("fsync", unfinished);
  if (::rename(unfinished.c_str(), path.c_str()) < 0) return ErrnoFail("rename", unfinished);
  MakeRoom(0);
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
