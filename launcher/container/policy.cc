// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/policy.h"
#include "base/os/link.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <climits>

namespace slipway {
namespace {

template <class T>
bool Holds(const std::vector<T>& list, const T& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};
FileId IdOf(const struct stat& info) { return {info.st_dev, info.st_ino}; }

Result<struct stat> Stat(int fd) {
  struct stat info;
  if (::fstat(fd, &info) < 0) return ErrnoFail("fstat");
  return info;
}

// The folder that holds an open file, as the kernel names it now, if the file still is in there.
Result<UniqueFd> FolderOf(int fd, const FileId& file) {
  std::string path = TRY(ReadLink(Cat("/proc/self/fd/", fd)));
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return Fail(Code::kPermissionDenied, path, " has no place among the files");
  UniqueFd folder = TRY(Open(path.substr(0, slash + 1), O_PATH | O_DIRECTORY));
  struct stat named;
  if (::fstatat(folder.get(), path.c_str() + slash + 1, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
      IdOf(named) != file)
    return Fail(Code::kPermissionDenied, path, " was moved or exchanged while it was looked at");
  return folder;
}

// The file's own identity and that of every folder above it.
Result<std::vector<FileId>> Lineage(int fd) {
  constexpr std::size_t kDepthMax = 1024;
  struct stat info = TRY(Stat(fd));
  std::vector<FileId> lineage{IdOf(info)};
  UniqueFd folder =
      S_ISDIR(info.st_mode) ? TRY(OpenAt(fd, ".", O_PATH | O_DIRECTORY)) : TRY(FolderOf(fd, IdOf(info)));
  while (lineage.size() < kDepthMax) {
    FileId here = IdOf(TRY(Stat(folder.get())));
    if (here != lineage.back()) lineage.push_back(here);
    UniqueFd above = TRY(OpenAt(folder.get(), "..", O_PATH | O_DIRECTORY));
    if (IdOf(TRY(Stat(above.get()))) == here) return lineage;
    folder = std::move(above);
  }
  return Fail(Code::kPermissionDenied, "a path more than ", kDepthMax, " folders deep");
}

bool IsUsualBind(const std::string& path) {
  static const std::vector<std::string> kUsual = {"/tmp", "/var/tmp", "/etc/hosts", "/etc/resolv.conf",
                                                  "/etc/localtime"};
  return Holds(kUsual, path);
}

}  // namespace

Result<> JudgeImage(const ContainerPolicy& policy, const ImageFacts& facts) {
  auto deny = [&](auto... words) {
    return Fail(Code::kPermissionDenied, "image ", facts.name, ": ", words...,
                " (starter.conf of this node)");
  };
  if (!Holds(policy.image_kinds, facts.kind)) return deny("'", facts.kind, "' is not in allow_images");
  bool ours = facts.kind == "store";
  if (!ours && !policy.limit_owners.empty() && !Holds(policy.limit_owners, facts.owner))
    return deny("it belongs to user ", facts.owner, ", who is not in limit_owners");
  if (!ours && !policy.limit_groups.empty() && !Holds(policy.limit_groups, facts.group))
    return deny("it belongs to group ", facts.group, ", which is not in limit_groups");
  if (!ours && !policy.limit_paths.empty() && !facts.within_paths)
    return deny("it does not lie below one of limit_paths");
  if (policy.signed_by.empty()) return {};
  for (const std::string& key : facts.signed_by) {
    if (Holds(policy.signed_by, key)) return {};
  }
  return deny("it must be signed by a key of signed_by, and no such signature was verified");
}

Result<> JudgeBind(const ContainerPolicy& policy, const BindFacts& facts) {
  if (facts.forbidden)
    return Fail(Code::kPermissionDenied, "bind of ", facts.source,
                ": forbidden by forbid_bind in starter.conf");
  bool usual = facts.source == facts.target && (IsUsualBind(facts.source) || facts.his_folder);
  if (!policy.user_binds && !usual)
    return Fail(
        Code::kPermissionDenied, "bind of ", facts.source, " at ", facts.target,
        ": starter.conf says allow_user_binds = no, which leaves your own folders at their own place");
  return {};
}

Result<> JudgeLayers(const ContainerPolicy& policy, const LaunchSpec& spec) {
  if ((spec.writable_tmpfs || !spec.writing.overlays.empty()) && !policy.overlay)
    return Fail(Code::kPermissionDenied, "layers over the image: starter.conf says allow_overlay = no");
  return {};
}

Result<> SetCapabilities(const ContainerPolicy& policy, Confinement& wanted, BirthRules& rules) {
  CapabilitySet defaults = 0;
  for (const std::string& name : policy.default_capabilities) defaults |= TRY(CapabilityNamed(name));
  for (const std::string& name : policy.allowed_capabilities)
    rules.capabilities_max |= TRY(CapabilityNamed(name));
  rules.capabilities_max |= defaults;
  wanted.capabilities |= defaults;
  return {};
}

std::string TmpfsSize(const ContainerPolicy& policy, const std::string& asked) {
  if (policy.tmpfs_bytes == 0) return asked;
  constexpr std::string_view kUnits = "kmg";
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(asked.data(), asked.data() + asked.size(), number);
  auto unit = end != asked.data() + asked.size() ? kUnits.find(static_cast<char>(*end | 0x20)) : kUnits.npos;
  bool plain = error == std::errc() && (end == asked.data() + asked.size() || unit != kUnits.npos);
  int shift = unit == kUnits.npos ? 0 : 10 * (static_cast<int>(unit) + 1);
  bool smaller = plain && number <= policy.tmpfs_bytes >> shift;
  return smaller && number > 0 ? asked : std::to_string(policy.tmpfs_bytes);
}

std::vector<Mount> ForcedBinds(const ContainerPolicy& policy) {
  std::vector<Mount> mounts;
  for (std::string_view bind : policy.binds) {
    Mount mount;
    mount.read_only = bind.ends_with(":ro");
    if (mount.read_only) bind.remove_suffix(3);
    mount.source = std::string(bind.substr(0, bind.find(':')));
    mount.target =
        mount.source.size() == bind.size() ? mount.source : std::string(bind.substr(mount.source.size() + 1));
    mount.optional = true;
    mount.forced = true;
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<ImageFacts> FactsOf(const ContainerPolicy& policy, const ImageSource& image, int fd) {
  struct stat info = TRY(Stat(fd));
  ImageFacts facts;
  facts.name = image.path.empty() ? "of your own" : image.path;
  facts.kind = S_ISDIR(info.st_mode) ? "directory" : image.offset != 0 ? "sif" : "squashfs";
  facts.owner = info.st_uid;
  facts.group = info.st_gid;
  for (const std::string& folder : policy.limit_paths)
    facts.within_paths = facts.within_paths || TRY(IsWithin(fd, folder));
  return facts;
}

Result<bool> IsWithin(int fd, const std::string& folder) {
  struct stat limit;
  if (::stat(folder.c_str(), &limit) < 0) return false;
  return Holds(TRY(Lineage(fd)), IdOf(limit));
}

Result<BindFacts> FactsOfBind(const ContainerPolicy& policy, const Mount& mount, int source_fd) {
  struct stat info = TRY(Stat(source_fd));
  BindFacts facts{mount.source, mount.target};
  facts.his_folder = S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
  for (const std::string& forbidden : policy.forbidden_binds) {
    auto there = Open(forbidden, O_PATH);
    if (!there) continue;
    facts.forbidden = facts.forbidden || TRY(IsWithin(source_fd, forbidden)) ||
                      Holds(TRY(Lineage(there->get())), IdOf(info));
  }
  return facts;
}

}  // namespace slipway
