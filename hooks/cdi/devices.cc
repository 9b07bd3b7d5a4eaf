// SPDX-License-Identifier: Apache-2.0
#include "hooks/cdi/devices.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/os/fd.h"
#include "hooks/cdi/cdi_spec.h"
#include "hooks/cdi/declared_hooks.h"

namespace slipway {
namespace {

constexpr std::size_t kFilesMax = 256;

struct CdiFile {
  std::string path;
  std::size_t folder = 0;  // its precedence
  CdiSpec spec;
};

// A device and the files of the highest folder that define it: more than one is a conflict.
struct Found {
  std::size_t folder = 0;
  std::vector<std::pair<const CdiFile*, const CdiDevice*>> by;
};

Result<std::vector<std::string>> FilesOf(const std::string& folder) {
  std::vector<std::string> files;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) {
    if (errno == ENOENT || errno == ENOTDIR) return files;
    return ErrnoFail("reading", folder);
  }
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (name.ends_with(".json") || name.ends_with(".yaml")) files.push_back(Cat(folder, "/", name));
  }
  ::closedir(dir);
  std::sort(files.begin(), files.end());
  if (files.size() > kFilesMax)
    return Fail(Code::kResourceExhausted, folder, ": ", files.size(), " files; at most ", kFilesMax);
  return files;
}

Result<> CheckNode(const DeviceNode& device) {
  struct stat info {};
  if (::stat(device.host_path.c_str(), &info) < 0) return ErrnoFail("device node", device.host_path);
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode) && !S_ISFIFO(info.st_mode))
    return Fail(Code::kFailedPrecondition, device.host_path, " is not a device node");
  return {};
}

class Registry {
 public:
  Result<> Load(const std::vector<std::string>& folders) {
    for (std::size_t folder = 0; folder < folders.size(); ++folder) {
      for (const std::string& path : TRY(FilesOf(folders[folder]))) LoadFile(path, folder);
    }
    for (const CdiFile& file : files_) {
      for (const CdiDevice& device : file.spec.devices) Enter(file, device);
    }
    return {};
  }

  // The devices that one name stands for.
  Result<std::vector<std::string>> Names(const CdiName& name) const {
    auto kind = kinds_.find(name.kind);
    if (kind != kinds_.end()) {
      if (kind->second.contains(name.device)) return std::vector<std::string>{name.device};
      if (name.device == "all") {
        std::vector<std::string> all;
        for (const auto& [device, found] : kind->second) all.push_back(device);
        return all;
      }
    }
    return Fail(Code::kNotFound, name.kind, "=", name.device, ": this node has no such device", Known(name));
  }

  Result<> Add(const std::string& kind, const std::string& device, CdiAnswer& answer) const {
    const Found& found = kinds_.at(kind).at(device);
    if (found.by.size() > 1)
      return Fail(Code::kFailedPrecondition, kind, "=", device, " is defined twice: in ",
                  found.by[0].first->path, " and ", found.by[1].first->path);
    auto [file, edits] = found.by[0];
    for (const DeviceNode& node : edits->edits.devices) TRY_CONTEXT(CheckNode(node), file->path);
    for (const DeviceNode& node : file->spec.edits.devices) TRY_CONTEXT(CheckNode(node), file->path);
    TRY_CONTEXT(MergeEdits(answer.edits, file->spec.edits), Cat(kind, "=", device));
    TRY_CONTEXT(MergeEdits(answer.edits, edits->edits), Cat(kind, "=", device));
    return {};
  }

  std::vector<std::string> DevicesOf(const std::string& kind) const {
    std::vector<std::string> names;
    auto found = kinds_.find(kind);
    if (found == kinds_.end()) return names;
    for (const auto& [device, by] : found->second) names.push_back(device);
    return names;
  }

  const std::vector<std::string>& useless() const { return useless_; }

 private:
  void LoadFile(const std::string& path, std::size_t folder) {
    auto loaded = [&]() -> Result<CdiSpec> {
      std::string text = TRY(ReadFile(path, kCdiBytesMax));
      return TRY_CONTEXT(ParseCdi(text, path.ends_with(".yaml")), path);
    }();
    if (loaded) {
      files_.push_back({path, folder, std::move(*loaded)});
    } else {
      useless_.push_back(loaded.error().message);
    }
  }

  void Enter(const CdiFile& file, const CdiDevice& device) {
    Found& found = kinds_[file.spec.kind][device.name];
    if (found.by.empty() || file.folder > found.folder) found = {file.folder, {}};
    found.by.emplace_back(&file, &device);
  }

  std::string Known(const CdiName& name) const {
    std::string known;
    if (auto kind = kinds_.find(name.kind); kind != kinds_.end()) {
      for (const auto& [device, found] : kind->second) {
        if (known.size() < 256) known += Cat(known.empty() ? "; of that kind: " : ", ", device);
      }
    } else {
      for (const auto& [kind_name, devices] : kinds_)
        known += Cat(known.empty() ? "; kinds: " : ", ", kind_name);
    }
    for (const std::string& line : useless_) known += Cat("; unusable: ", line);
    return known.empty() ? std::string(" (no file in the folders of CDI)") : known;
  }

  std::vector<CdiFile> files_;
  std::map<std::string, std::map<std::string, Found>> kinds_;
  std::vector<std::string> useless_;
};

}  // namespace

Result<std::vector<std::string>> DevicesOfKind(const std::string& kind,
                                               const std::vector<std::string>& folders) {
  Registry registry;
  TRY(registry.Load(folders));
  return registry.DevicesOf(kind);
}

Result<CdiAnswer> ResolveDevices(const std::vector<std::string>& names,
                                 const std::vector<std::string>& folders) {
  CdiAnswer answer;
  if (names.empty()) return answer;
  std::vector<CdiName> wanted;
  for (const std::string& name : names) wanted.push_back(TRY(ParseCdiName(name)));
  Registry registry;
  TRY(registry.Load(folders));
  for (const CdiName& name : wanted) {
    for (const std::string& device : TRY(registry.Names(name))) TRY(registry.Add(name.kind, device, answer));
  }
  TRY(DeclareKnownHooks(answer.edits, answer.warnings));
  for (const std::string& line : registry.useless()) answer.warnings.push_back(Cat("ignored: ", line));
  return answer;
}

}  // namespace slipway
