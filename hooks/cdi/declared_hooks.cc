// SPDX-License-Identifier: Apache-2.0
#include "hooks/cdi/declared_hooks.h"

#include <fcntl.h>

#include <algorithm>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "hooks/host/elf_library.h"

namespace slipway {
namespace {

std::string NameOf(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }
std::string FolderOf(std::string_view path) { return std::string(path.substr(0, path.rfind('/'))); }

bool IsNvidias(const Hook& hook) {
  std::string program = NameOf(hook.path);
  return program == "nvidia-cdi-hook" || program == "nvidia-ctk";
}

// What the hook is asked to do: the first argument that is no option and not the word "hook".
std::string TaskOf(const Hook& hook) {
  for (std::size_t i = 1; i < hook.args.size(); ++i) {
    if (!hook.args[i].starts_with('-') && hook.args[i] != "hook") return hook.args[i];
  }
  return {};
}

// Values of "--option value" and "--option=value".
std::vector<std::string> ValuesOf(const Hook& hook, const std::string& option) {
  std::vector<std::string> values;
  for (std::size_t i = 1; i < hook.args.size(); ++i) {
    const std::string& word = hook.args[i];
    if (word == option && i + 1 < hook.args.size()) values.push_back(hook.args[i + 1]);
    if (word.starts_with(option + "=")) values.push_back(word.substr(option.size() + 1));
  }
  return values;
}

const Mount* MountAt(const ContainerEdits& edits, std::string_view target) {
  for (const Mount& mount : edits.mounts) {
    if (mount.target == target) return &mount;
  }
  return nullptr;
}

void BindAs(ContainerEdits& edits, const Mount& original, std::string target) {
  if (MountAt(edits, target) != nullptr) return;
  Mount mount = original;
  mount.target = std::move(target);
  edits.mounts.push_back(std::move(mount));
}

void DeclareFolder(const std::string& folder, ContainerEdits& edits) {
  std::vector<Mount> mounts = edits.mounts;
  for (const Mount& mount : mounts) {
    if (FolderOf(mount.target) != folder || mount.target.find(".so") == std::string::npos) continue;
    auto fd = Open(mount.source, O_RDONLY | O_NONBLOCK);
    if (!fd) continue;
    auto library = ReadElfLibrary(fd->get());
    if (!library || library->soname.empty() || library->soname.find('/') != std::string::npos) continue;
    BindAs(edits, mount, Cat(folder, "/", library->soname));
  }
  auto& folders = edits.library_folders;
  if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
}

struct Link {
  std::string target, path;
};
// "TARGET::PATH"; a target without a slash lies beside the link.
std::optional<Link> LinkOf(const std::string& text) {
  auto colons = text.find("::");
  if (colons == std::string::npos) return std::nullopt;
  Link link{text.substr(0, colons), text.substr(colons + 2)};
  if (!link.path.starts_with('/') || link.target.empty() || link.target.find("..") != std::string::npos)
    return std::nullopt;
  if (!link.target.starts_with('/')) link.target = Cat(FolderOf(link.path), "/", link.target);
  return link;
}

// A link may lead to another one: as long as one of them finds its target, the rest is tried again.
void DeclareLinks(std::vector<Link> links, ContainerEdits& edits, std::vector<std::string>& notes) {
  for (bool found = true; found && !links.empty();) {
    found = false;
    for (std::size_t i = 0; i < links.size(); ++i) {
      const Mount* mount = MountAt(edits, links[i].target);
      if (mount == nullptr) continue;
      BindAs(edits, Mount(*mount), links[i].path);
      links.erase(links.begin() + static_cast<std::ptrdiff_t>(i--));
      found = true;
    }
  }
  for (const Link& link : links)
    notes.push_back(Cat("no link at ", link.path, ": nothing is bound at ", link.target));
}

}  // namespace

Result<> DeclareKnownHooks(ContainerEdits& edits, std::vector<std::string>& notes) {
  ContainerEdits declared = edits;
  declared.hooks.clear();
  std::vector<Link> links;
  for (const Hook& hook : edits.hooks) {
    std::string task = IsNvidias(hook) ? TaskOf(hook) : "";
    if (task == "create-symlinks") {
      for (const std::string& text : ValuesOf(hook, "--link")) {
        auto link = LinkOf(text);
        if (!link)
          return Fail(Code::kInvalidArgument, hook.path, ": --link '", text, "' is not TARGET::PATH");
        links.push_back(std::move(*link));
      }
    } else if (task == "update-ldcache" || task == "create-soname-symlinks") {
      for (const std::string& folder : ValuesOf(hook, "--folder")) {
        if (folder.starts_with('/')) DeclareFolder(folder, declared);
      }
    } else if (task != "chmod" && task != "enable-cuda-compat" &&
               task != "disable-device-node-modification") {
      declared.hooks.push_back(hook);
    }
  }
  DeclareLinks(std::move(links), declared, notes);
  edits = std::move(declared);
  return {};
}

}  // namespace slipway
