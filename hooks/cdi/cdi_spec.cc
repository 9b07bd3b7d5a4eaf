// SPDX-License-Identifier: Apache-2.0
#include "hooks/cdi/cdi_spec.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json/strict.h"
#include "base/text/text.h"
#include "hooks/cdi/yaml.h"

namespace slipway {
namespace {

constexpr std::size_t kDevicesMax = 4096, kEditsMax = 8192;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The specification's shape of vendor, class and device names: such a beginning, such an end, these between.
bool IsName(std::string_view name, bool digit_first, std::string_view between) {
  if (name.empty() || name.size() > 253) return false;
  if (!IsLetter(name.front()) && !(digit_first && IsDigit(name.front()))) return false;
  if (!IsLetter(name.back()) && !IsDigit(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return IsLetter(c) || IsDigit(c) || between.find(c) != std::string_view::npos;
  });
}

bool IsKind(std::string_view kind) {
  auto slash = kind.find('/');
  return slash != std::string_view::npos && IsName(kind.substr(0, slash), false, "_-.") &&
         IsName(kind.substr(slash + 1), false, "_-.");
}
bool IsDeviceName(std::string_view name) { return IsName(name, true, "_-.:"); }

// In YAML a name such as 0 is a number unless it was quoted; it is meant as text.
Result<std::string> NameText(const Json& value, std::string_view where) {
  if (value.is_number_unsigned()) return std::to_string(value.get<std::uint64_t>());
  return JsonText(value, where);
}

Result<std::string> AbsolutePath(const Json& value, const std::string& where) {
  std::string path = TRY(JsonText(value, where));
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos || path.size() > 4095)
    return JsonWrong(where, Cat("'", path.substr(0, 128), "' is not an absolute path"));
  for (const std::string& part : Split(path, '/')) {
    if (part == "..") return JsonWrong(where, Cat("'", path.substr(0, 128), "' holds \"..\""));
  }
  return path;
}

class CdiReader {
 public:
  Result<CdiSpec> Read(const Json& json) {
    TRY(CheckJsonFields(json, "the file",
                        {"cdiVersion", "kind", "annotations", "devices", "containerEdits"}));
    CdiSpec spec;
    spec.version = TRY(NameText(JsonField(json, "cdiVersion"), "cdiVersion"));
    TRY(TakeVersion(spec.version));
    spec.kind = TRY(JsonText(JsonField(json, "kind"), "kind"));
    if (!IsKind(spec.kind))
      return JsonWrong("kind", Cat("'", spec.kind.substr(0, 128), "' is not VENDOR/CLASS"));
    if (spec.kind.find('.', spec.kind.find('/')) != std::string::npos) TRY(Since(0, 6, "a class with a dot"));
    TRY(Annotations(json, "annotations"));
    spec.edits = TRY(Edits(JsonField(json, "containerEdits"), "containerEdits"));
    const Json& devices = JsonField(json, "devices");
    if (!devices.is_array() || devices.empty() || devices.size() > kDevicesMax)
      return JsonWrong("devices", "not a list of at least one device");
    for (std::size_t i = 0; i < devices.size(); ++i) {
      CdiDevice device = TRY(Device(devices[i], Cat("devices[", i, "]")));
      for (const CdiDevice& other : spec.devices) {
        if (other.name == device.name)
          return JsonWrong(Cat("devices[", i, "]"), Cat("a second device '", device.name, "'"));
      }
      spec.devices.push_back(std::move(device));
    }
    return spec;
  }

 private:
  Result<> TakeVersion(const std::string& text) {
    constexpr std::array<std::pair<std::string_view, std::pair<unsigned, unsigned>>, 8> kKnown = {
        {{"0.3.0", {0, 3}},
         {"0.4.0", {0, 4}},
         {"0.5.0", {0, 5}},
         {"0.6.0", {0, 6}},
         {"0.7.0", {0, 7}},
         {"0.8.0", {0, 8}},
         {"1.0.0", {1, 0}},
         {"1.1.0", {1, 1}}}};
    std::string_view plain = text;
    if (plain.starts_with('v')) plain.remove_prefix(1);
    for (const auto& [name, version] : kKnown) {
      if (plain != name) continue;
      version_ = version;
      return {};
    }
    return JsonWrong("cdiVersion", Cat("'", text.substr(0, 32),
                                       "' is not a version that this program reads (0.3.0 to 1.1.0)"));
  }

  Result<> Since(unsigned major, unsigned minor, std::string_view what) {
    if (version_ >= std::pair(major, minor)) return {};
    return JsonWrong("cdiVersion", Cat(what, " came with ", major, ".", minor, ".0, the file says ",
                                       version_.first, ".", version_.second, ".0"));
  }

  Result<> Annotations(const Json& json, const std::string& where) {
    const Json& annotations = JsonField(json, "annotations");
    if (annotations.is_null()) return {};
    TRY(Since(0, 6, "annotations"));
    if (!annotations.is_object()) return JsonWrong(where, "not an object of texts");
    for (const Json& value : annotations) TRY(JsonText(value, where));
    return {};
  }

  Result<CdiDevice> Device(const Json& json, const std::string& where) {
    TRY(CheckJsonFields(json, where, {"name", "annotations", "containerEdits"}));
    CdiDevice device;
    device.name = TRY(NameText(JsonField(json, "name"), where + ".name"));
    if (!IsDeviceName(device.name))
      return JsonWrong(where + ".name", Cat("'", device.name.substr(0, 128), "' is not a device's name"));
    if (IsDigit(device.name[0])) TRY(Since(0, 5, "a name that begins with a digit"));
    TRY(Annotations(json, where + ".annotations"));
    if (JsonField(json, "containerEdits").is_null()) return JsonWrong(where, "no containerEdits");
    device.edits = TRY(Edits(JsonField(json, "containerEdits"), where + ".containerEdits"));
    return device;
  }

  Result<ContainerEdits> Edits(const Json& json, const std::string& where) {
    ContainerEdits edits;
    if (json.is_null()) return edits;
    TRY(CheckJsonFields(
        json, where, {"env", "deviceNodes", "mounts", "hooks", "additionalGids", "intelRdt", "netDevices"}));
    if (!JsonField(json, "intelRdt").is_null())
      return Fail(Code::kUnimplemented, where,
                  ".intelRdt: classes of the processor's cache are root's to assign, not this launcher's");
    if (!JsonField(json, "netDevices").is_null())
      return Fail(Code::kUnimplemented, where,
                  ".netDevices: containers here use the host's network, where every device is there already");
    edits.env = TRY(Env(json, where + ".env"));
    TakeLibraryFolders(edits);
    ContainerEdits more;
    TRY(ForEach(json, "deviceNodes", where, [&](const Json& one, const std::string& here) -> Result<> {
      more.devices.push_back(TRY(DeviceNodeOf(one, here)));
      return {};
    }));
    TRY(ForEach(json, "mounts", where, [&](const Json& one, const std::string& here) -> Result<> {
      more.mounts.push_back(TRY(MountOf(one, here)));
      return {};
    }));
    TRY(ForEach(json, "hooks", where, [&](const Json& one, const std::string& here) -> Result<> {
      more.hooks.push_back(TRY(HookOf(one, here)));
      return {};
    }));
    more.additional_gids = TRY(Gids(json, where + ".additionalGids"));
    TRY_CONTEXT(MergeEdits(edits, more), where);
    return edits;
  }

  // As a variable it would replace the image's own folders, or be replaced by them.
  static void TakeLibraryFolders(ContainerEdits& edits) {
    constexpr std::string_view kVariable = "LD_LIBRARY_PATH=";
    for (const std::string& entry : edits.env) {
      if (!entry.starts_with(kVariable)) continue;
      for (std::string& folder : Split(std::string_view(entry).substr(kVariable.size()), ':')) {
        if (folder.starts_with('/')) edits.library_folders.push_back(std::move(folder));
      }
    }
    std::erase_if(edits.env, [&](const std::string& entry) { return entry.starts_with(kVariable); });
  }

  template <class Body>
  Result<> ForEach(const Json& json, const char* name, const std::string& where, const Body& body) {
    const Json& list = JsonField(json, name);
    if (list.is_null()) return {};
    if (!list.is_array() || list.size() > kEditsMax) return JsonWrong(Cat(where, ".", name), "not a list");
    for (std::size_t i = 0; i < list.size(); ++i) TRY(body(list[i], Cat(where, ".", name, "[", i, "]")));
    return {};
  }

  Result<std::vector<std::string>> Env(const Json& json, const std::string& where) {
    std::vector<std::string> env = TRY(JsonTexts(JsonField(json, "env"), where));
    for (const std::string& entry : env) {
      auto equals = entry.find('=');
      if (equals == std::string::npos || equals == 0 || entry.find('\0') != std::string::npos)
        return JsonWrong(where, Cat("'", entry.substr(0, 64), "' is not NAME=value"));
    }
    return env;
  }

  Result<DeviceNode> DeviceNodeOf(const Json& json, const std::string& where) {
    TRY(CheckJsonFields(
        json, where,
        {"path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"}));
    DeviceNode device;
    device.path = device.host_path = TRY(AbsolutePath(JsonField(json, "path"), where + ".path"));
    if (!JsonField(json, "hostPath").is_null()) {
      TRY(Since(0, 5, "hostPath of a device node"));
      device.host_path = TRY(AbsolutePath(JsonField(json, "hostPath"), where + ".hostPath"));
    }
    // The node is the host's own, so these describe it and change nothing; that they are sane is still asked.
    if (!JsonField(json, "type").is_null()) {
      std::string type = TRY(JsonText(JsonField(json, "type"), where + ".type"));
      if (type != "b" && type != "c" && type != "u" && type != "p")
        return JsonWrong(where + ".type", Cat("'", type.substr(0, 16), "' is none of b, c, u, p"));
    }
    if (!JsonField(json, "permissions").is_null()) {
      std::string permissions = TRY(JsonText(JsonField(json, "permissions"), where + ".permissions"));
      if (permissions.find_first_not_of("rwm") != std::string::npos || permissions.size() > 3)
        return JsonWrong(where + ".permissions", Cat("'", permissions.substr(0, 16), "' is not of r, w, m"));
    }
    for (const char* number : {"major", "minor", "fileMode", "uid", "gid"}) {
      if (!JsonField(json, number).is_null())
        TRY(JsonNumber(JsonField(json, number), Cat(where, ".", number), 0xffffffff));
    }
    return device;
  }

  Result<Mount> MountOf(const Json& json, const std::string& where) {
    TRY(CheckJsonFields(json, where, {"hostPath", "containerPath", "options", "type"}));
    Mount mount;
    mount.source = TRY(AbsolutePath(JsonField(json, "hostPath"), where + ".hostPath"));
    mount.target = TRY(AbsolutePath(JsonField(json, "containerPath"), where + ".containerPath"));
    if (mount.target.find_first_not_of('/') == std::string::npos)
      return JsonWrong(where, "the container's root cannot be replaced");
    if (!JsonField(json, "type").is_null()) {
      TRY(Since(0, 4, "type of a mount"));
      std::string type = TRY(JsonText(JsonField(json, "type"), where + ".type"));
      if (!type.empty() && type != "bind" && type != "none" && type != "rbind")
        return Fail(Code::kUnimplemented, where, ".type: '", type.substr(0, 32), "': only binds are made");
    }
    for (const std::string& option : TRY(JsonTexts(JsonField(json, "options"), where + ".options")))
      TRY(TakeOption(option, mount, where + ".options"));
    return mount;
  }

  // nosuid is every mount's; propagation is always one-way from the host, which all of the private kinds are
  // a part of.
  Result<> TakeOption(const std::string& option, Mount& mount, const std::string& where) {
    for (const char* given : {"rw", "bind", "rbind", "nosuid", "private", "rprivate", "slave", "rslave",
                              "dev", "exec", "defaults", "relatime"}) {
      if (option == given) return {};
    }
    if (option == "ro") {
      mount.read_only = true;
      return {};
    }
    if (option == "nodev" || option == "noexec") {
      if (mount.options.find(option) == std::string::npos)
        mount.options += mount.options.empty() ? option : Cat(",", option);
      return {};
    }
    return Fail(Code::kUnimplemented, where, ": '", option.substr(0, 64),
                "' is not an option that can be had");
  }

  Result<Hook> HookOf(const Json& json, const std::string& where) {
    TRY(CheckJsonFields(json, where, {"hookName", "path", "args", "env", "timeout"}));
    Hook hook;
    auto stage = StageNamed(TRY(JsonText(JsonField(json, "hookName"), where + ".hookName")));
    if (!stage) return Failure(std::move(stage).error().Context(where + ".hookName"));
    hook.stage = *stage;
    hook.path = TRY(AbsolutePath(JsonField(json, "path"), where + ".path"));
    hook.args = TRY(JsonTexts(JsonField(json, "args"), where + ".args"));
    hook.env = TRY(Env(json, where + ".env"));
    if (!JsonField(json, "timeout").is_null())
      hook.timeout_s = static_cast<std::uint32_t>(
          TRY(JsonNumber(JsonField(json, "timeout"), where + ".timeout", kHookTimeoutMax_s)));
    TRY_CONTEXT(CheckHooks({hook}), where);
    return hook;
  }

  Result<std::vector<std::uint32_t>> Gids(const Json& json, const std::string& where) {
    std::vector<std::uint32_t> gids;
    const Json& list = JsonField(json, "additionalGids");
    if (list.is_null()) return gids;
    TRY(Since(0, 7, "additionalGids"));
    if (!list.is_array() || list.size() > kEditsMax) return JsonWrong(where, "not a list");
    for (const Json& one : list) {
      auto gid = static_cast<std::uint32_t>(TRY(JsonNumber(one, where, 0xfffffffe)));
      if (gid != 0) gids.push_back(gid);  // the specification: 0 is skipped
    }
    return gids;
  }

  std::pair<unsigned, unsigned> version_;
};

}  // namespace

Result<CdiSpec> ParseCdi(std::string_view text, bool yaml) {
  Json json = TRY(yaml ? ParseYaml(text, kCdiBytesMax) : ParseJson(text, kCdiBytesMax));
  return CdiReader().Read(json);
}

Result<CdiName> ParseCdiName(std::string_view text) {
  auto equals = text.find('=');
  if (equals != std::string_view::npos && IsKind(text.substr(0, equals)) &&
      IsDeviceName(text.substr(equals + 1)))
    return CdiName{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
  return Fail(Code::kInvalidArgument, "'", text.substr(0, 128),
              "' is not VENDOR/CLASS=NAME (for example nvidia.com/gpu=0)");
}

}  // namespace slipway
