// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/build_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "base/os/mount.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::build {

namespace {

// All that a later section may find; packing the image decides what stays of it.
squashfs::PackOptions AsItIs(const std::atomic<bool>* cancelled) {
  squashfs::PackOptions options;
  options.policy.ids_to_root = false;
  options.policy.set_id = squashfs::Treatment::kKeep;
  options.compressor = squashfs::Compressor::kLz4;
  options.progress = [cancelled](const squashfs::Progress&) -> Result<> {
    if (cancelled != nullptr && cancelled->load()) return Fail(Code::kCancelled, "cancelled");
    return {};
  };
  return options;
}

}  // namespace

Result<BuildCache> BuildCache::Open(Options options) {
  TRY(MakeDirectories(options.folder, 0700));
  return BuildCache(std::move(options));
}

std::string BuildCache::PathOf(const std::string& key) const { return Cat(options_.folder, "/", key); }

// When it was made is its time of change, when it was used its time of access, set by hand: mounts may be
// noatime.
bool BuildCache::Has(const std::string& key) {
  if (held_.contains(key)) return true;
  auto file = slipway::Open(PathOf(key), O_RDONLY | O_NOFOLLOW);
  struct stat info;
  if (!file || ::fstat(file->get(), &info) < 0 || !S_ISREG(info.st_mode)) return false;
  if (std::time(nullptr) - info.st_mtime > options_.age_max.count()) {
    ::unlink(PathOf(key).c_str());
    return false;
  }
  timespec used[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ::futimens(file->get(), used);
  held_.emplace(key, std::move(*file));
  return true;
}

Result<> BuildCache::Restore(const std::string& key, const std::string& root) {
  int fd = held_.at(key).get();
  UniqueFd into = TRY(slipway::Open(root, O_RDONLY | O_DIRECTORY));
  auto unpacked = squashfs::Unpack({fd, 0, TRY(SizeOfFile(fd))}, into.get(), AsItIs(options_.cancelled));
  if (unpacked) return {};
  if (unpacked.error().code != Code::kInvalidArgument) return Failure(std::move(unpacked).error());
  ::unlink(PathOf(key).c_str());
  held_.erase(key);
  ++damaged_;
  return Fail(Code::kDataLoss, PathOf(key),
              " of the build cache was damaged and is taken out: ", unpacked.error().message);
}

Result<> BuildCache::Keep(const std::string& key, const std::string& root) {
  UniqueFd from = TRY(slipway::Open(root, O_RDONLY | O_DIRECTORY));
  UniqueFd out = TRY(slipway::Open(options_.folder, O_TMPFILE | O_RDWR, 0600));
  auto packed = TRY(squashfs::PackDirectory(from.get(), out.get(), AsItIs(options_.cancelled)));
  TRY(MakeRoom(packed.bytes_out));
  if (::fsync(out.get()) < 0) return ErrnoFail("fsync", PathOf(key));
  std::string file = Cat("/proc/self/fd/", out.get());
  if (::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, PathOf(key).c_str(), AT_SYMLINK_FOLLOW) < 0 &&
      errno != EEXIST)
    return ErrnoFail("link", PathOf(key));
  return SyncFolderOf(PathOf(key));
}

Result<> BuildCache::MakeRoom(std::uint64_t bytes) const {
  if (bytes > options_.bytes_max)
    return Fail(Code::kResourceExhausted, "it is more than the build cache may hold");
  struct State {
    timespec used;
    std::uint64_t bytes;
    std::string name;
  };
  std::vector<State> states;
  std::uint64_t held = 0;
  UniqueFd folder = TRY(slipway::Open(options_.folder, O_RDONLY | O_DIRECTORY));
  for (std::string& name : TRY(NamesIn(options_.folder))) {
    struct stat info;
    if (::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode))
      continue;
    held += static_cast<std::uint64_t>(info.st_size);
    states.push_back({info.st_atim, static_cast<std::uint64_t>(info.st_size), std::move(name)});
  }
  std::sort(states.begin(), states.end(), [](const State& a, const State& b) {
    return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec < b.used.tv_sec : a.used.tv_nsec < b.used.tv_nsec;
  });
  for (const State& oldest : states) {
    if (held + bytes <= options_.bytes_max) break;
    if (::unlinkat(folder.get(), oldest.name.c_str(), 0) < 0 && errno != ENOENT)
      return ErrnoFail("unlink", PathOf(oldest.name));
    held -= oldest.bytes;
  }
  return {};
}

}  // namespace slipway::build
