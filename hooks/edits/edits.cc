// SPDX-License-Identifier: Apache-2.0
#include "hooks/edits/edits.h"

#include <algorithm>

#include "base/text/text.h"

namespace slipway {
namespace {

std::string_view NameOf(std::string_view variable) { return variable.substr(0, variable.find('=')); }

template <class T>
bool Same(const T& a, const T& b) {
  return Encode(a) == Encode(b);
}

Failure TwoAt(const std::string& target, const std::string& a, const std::string& b) {
  return Fail(Code::kFailedPrecondition, "two different things are wanted at ", target, ": ", a, " and ", b);
}

// A mount and a device at one place would hide one another; so they are looked up together.
Result<> AddMount(ContainerEdits& into, const Mount& mount) {
  for (const DeviceNode& device : into.devices) {
    if (device.path == mount.target) return TwoAt(mount.target, device.host_path, mount.source);
  }
  for (const Mount& other : into.mounts) {
    if (other.target != mount.target) continue;
    if (Same(other, mount)) return {};
    return TwoAt(mount.target, other.source, mount.source);
  }
  into.mounts.push_back(mount);
  return {};
}

Result<> AddDevice(ContainerEdits& into, const DeviceNode& device) {
  for (const Mount& mount : into.mounts) {
    if (mount.target == device.path) return TwoAt(device.path, mount.source, device.host_path);
  }
  for (const DeviceNode& other : into.devices) {
    if (other.path != device.path) continue;
    if (other.host_path == device.host_path) return {};
    return TwoAt(device.path, other.host_path, device.host_path);
  }
  into.devices.push_back(device);
  return {};
}

Result<> AddVariable(ContainerEdits& into, const std::string& variable) {
  for (const std::string& other : into.env) {
    if (NameOf(other) != NameOf(variable)) continue;
    if (other == variable) return {};
    return Fail(Code::kFailedPrecondition, "two different values are wanted for the variable ",
                NameOf(variable));
  }
  into.env.push_back(variable);
  return {};
}

std::vector<Mount> MountsOf(const ContainerEdits& edits) {
  std::vector<Mount> mounts = edits.mounts;
  for (const DeviceNode& device : edits.devices)
    mounts.push_back({.type = Mount::kBind, .source = device.host_path, .target = device.path});
  return mounts;
}

// The container's init adds it once the image's own environment is known.
void AddLibraryFolders(const ContainerEdits& edits, std::vector<std::string>& env) {
  if (!edits.library_folders.empty())
    env.push_back(Cat("SLIPWAYENV_APPEND_LD_LIBRARY_PATH=", Join(edits.library_folders, ":")));
}

Result<> CheckPath(std::string_view path, std::string_view bind) {
  if (path.empty() || path.front() != '/')
    return Fail(Code::kInvalidArgument, "--bind ", bind, ": \"", path, "\" is not an absolute path");
  if (path.find('\0') != std::string_view::npos)
    return Fail(Code::kInvalidArgument, "--bind ", bind.substr(0, bind.find('\0')),
                ": a path holds a NUL byte");
  for (const std::string& part : Split(path, '/')) {
    if (part == "." || part == "..")
      return Fail(Code::kInvalidArgument, "--bind ", bind, ": \"", path, "\" must not contain \"", part,
                  "\"");
  }
  return {};
}

}  // namespace

Result<> MergeEdits(ContainerEdits& edits, const ContainerEdits& more) {
  ContainerEdits merged = edits;
  for (const Mount& mount : more.mounts) TRY(AddMount(merged, mount));
  for (const DeviceNode& device : more.devices) TRY(AddDevice(merged, device));
  for (const std::string& variable : more.env) TRY(AddVariable(merged, variable));
  for (const Hook& hook : more.hooks) {
    bool there = std::any_of(merged.hooks.begin(), merged.hooks.end(),
                             [&](const Hook& other) { return Same(other, hook); });
    if (!there) merged.hooks.push_back(hook);
  }
  for (std::uint32_t gid : more.additional_gids) {
    if (std::find(merged.additional_gids.begin(), merged.additional_gids.end(), gid) ==
        merged.additional_gids.end())
      merged.additional_gids.push_back(gid);
  }
  for (const std::string& folder : more.library_folders) {
    if (std::find(merged.library_folders.begin(), merged.library_folders.end(), folder) ==
        merged.library_folders.end())
      merged.library_folders.push_back(folder);
  }
  edits = std::move(merged);
  return {};
}

Result<> CheckGroups(const ContainerEdits& edits, const std::vector<std::uint32_t>& groups) {
  for (std::uint32_t gid : edits.additional_gids) {
    if (std::find(groups.begin(), groups.end(), gid) == groups.end())
      return Fail(Code::kPermissionDenied, "a device wants its users to be in group ", gid,
                  ", which you are not and nobody without privilege can be made: ask the host's admin");
  }
  return {};
}

void ApplyEdits(const ContainerEdits& edits, StepSpec& spec) {
  std::vector<Mount> mounts = MountsOf(edits);
  spec.mounts.insert(spec.mounts.begin(), mounts.begin(), mounts.end());
  for (const std::string& variable : edits.env) {
    bool set = std::any_of(spec.env.begin(), spec.env.end(),
                           [&](const std::string& v) { return NameOf(v) == NameOf(variable); });
    if (!set) spec.env.push_back(variable);
  }
  AddLibraryFolders(edits, spec.env);
  spec.hooks.insert(spec.hooks.end(), edits.hooks.begin(), edits.hooks.end());
}

void ApplyEdits(const ContainerEdits& edits, LaunchSpec& spec) {
  std::vector<Mount> given = spec.mounts;
  for (Mount& mount : MountsOf(edits)) {
    bool there =
        std::any_of(given.begin(), given.end(), [&](const Mount& m) { return m.target == mount.target; });
    if (!there) spec.mounts.push_back(std::move(mount));
  }
  for (const std::string& variable : edits.env) {
    std::erase_if(spec.env, [&](const std::string& v) { return NameOf(v) == NameOf(variable); });
    spec.env.push_back(variable);
  }
  AddLibraryFolders(edits, spec.env);
  spec.hooks.insert(spec.hooks.end(), edits.hooks.begin(), edits.hooks.end());
}

Result<Mount> ParseBind(std::string_view text) {
  std::vector<std::string> parts = Split(text, ':');
  if (parts.size() > 3) return Fail(Code::kInvalidArgument, "--bind ", text, ": expected src[:dst[:ro|rw]]");
  Mount mount{.type = Mount::kBind, .source = parts[0], .target = parts[0]};
  if (parts.size() > 1 && !parts[1].empty()) mount.target = parts[1];
  if (parts.size() == 3) {
    if (parts[2] != "ro" && parts[2] != "rw")
      return Fail(Code::kInvalidArgument, "--bind ", text, ": \"", parts[2], "\" is neither ro nor rw");
    mount.read_only = parts[2] == "ro";
  }
  TRY(CheckPath(mount.source, text));
  TRY(CheckPath(mount.target, text));
  if (mount.target.find_first_not_of('/') == std::string::npos)
    return Fail(Code::kInvalidArgument, "--bind ", text, ": the container's root cannot be replaced");
  return mount;
}

Result<ContainerEdits> EditsOfBinds(const std::vector<std::string>& binds) {
  ContainerEdits edits;
  for (const std::string& bind : binds) edits.mounts.push_back(TRY(ParseBind(bind)));
  return edits;
}

}  // namespace slipway
