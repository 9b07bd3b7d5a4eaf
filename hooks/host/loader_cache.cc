// SPDX-License-Identifier: Apache-2.0
#include "hooks/host/loader_cache.h"

#include <cstdint>
#include <cstring>
#include <set>

namespace slipway {
namespace {

constexpr std::string_view kOldMagic = "ld.so-1.7.0", kMagic = "glibc-ld.so.cache1.1";
constexpr std::size_t kEntriesMax = 1'000'000, kPathMax = 4096;

// On disk, in the byte order of the machine (elf/cache.c and sysdeps/generic/dl-cache.h of glibc).
struct OldHeader {
  char magic[12];
  std::uint32_t count;
};
constexpr std::size_t kOldEntryBytes = 12;
struct Header {
  char magic[20];
  std::uint32_t count, strings_bytes;
  std::uint8_t flags, padding[3];
  std::uint32_t extension, unused[3];
};
static_assert(sizeof(Header) == 48);
struct Entry {
  std::int32_t flags;
  std::uint32_t key, value, os_version;
  std::uint64_t hwcap;
};
static_assert(sizeof(Entry) == 24);

Failure Damaged(std::string_view what) { return Fail(Code::kInvalidArgument, "ld.so.cache: ", what); }

Result<std::string> TextAt(std::string_view cache, std::uint32_t offset) {
  if (offset >= cache.size()) return Damaged("a text behind its end");
  std::string_view rest = cache.substr(offset, kPathMax);
  auto end = rest.find('\0');
  if (end == std::string_view::npos) return Damaged("a text without an end");
  return std::string(rest.substr(0, end));
}

Result<std::string_view> NewPart(std::string_view bytes) {
  if (!bytes.starts_with(kOldMagic)) return bytes;
  OldHeader old;
  if (bytes.size() < sizeof old) return Damaged("too short");
  std::memcpy(&old, bytes.data(), sizeof old);
  std::uint64_t end = sizeof old + std::uint64_t{old.count} * kOldEntryBytes;
  end = (end + 7) / 8 * 8;
  if (end >= bytes.size()) return Damaged("of the format before glibc 2.2 only");
  return bytes.substr(static_cast<std::size_t>(end));
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> ParseLoaderCache(std::string_view bytes) {
  std::string_view cache = TRY(NewPart(bytes));
  Header header;
  if (cache.size() < sizeof header || !cache.starts_with(kMagic))
    return Damaged("not of the format that glibc has written since 2.2");
  std::memcpy(&header, cache.data(), sizeof header);
  if (header.count > kEntriesMax || header.count > (cache.size() - sizeof header) / sizeof(Entry))
    return Damaged("more entries than it has room for");
  std::vector<std::pair<std::string, std::string>> entries;
  for (std::size_t i = 0; i < header.count; ++i) {
    Entry entry;
    std::memcpy(&entry, cache.data() + sizeof header + i * sizeof entry, sizeof entry);
    entries.emplace_back(TRY(TextAt(cache, entry.key)), TRY(TextAt(cache, entry.value)));
  }
  return entries;
}

std::vector<std::string> LibraryFolders(const HostTree& host) {
  std::vector<std::string> folders;
  std::set<std::string> seen;
  auto add = [&](const std::string& folder) {
    // /lib and /usr/lib are often one.
    auto real = host.Resolve(folder);
    if (real && seen.insert(*real).second) folders.push_back(*real);
  };
  if (auto bytes = host.Read("/etc/ld.so.cache", kLoaderCacheMax)) {
    std::set<std::string> named;
    if (auto entries = ParseLoaderCache(*bytes)) {
      for (const auto& [name, path] : *entries) {
        std::string folder = path.substr(0, path.rfind('/'));
        if (path.starts_with('/') && named.insert(folder).second) add(folder);
      }
    }
  }
  for (const char* folder :
       {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib",
        "/usr/local/lib", "/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/lib64/nvidia",
        "/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"})
    add(folder);
  return folders;
}

}  // namespace slipway
