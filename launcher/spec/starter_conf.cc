// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/starter_conf.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "launcher/spec/capabilities.h"

namespace slipway {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view Trimmed(std::string_view text) {
  auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return text.substr(text.size());
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool IsPath(std::string_view text) {
  return text.starts_with('/') && Cat(text, "/").find("/../") == std::string::npos;
}

Result<> CheckText(const ConfKey& key, std::string_view value) {
  auto bad = [&](auto... words) {
    return Fail(Code::kInvalidArgument, key.name, " ", words..., ", not '", value.substr(0, 80), "'");
  };
  if (value.empty() || value.find('\0') != std::string_view::npos)
    return Fail(Code::kInvalidArgument, key.name, " is empty");
  if (key.want == ConfKey::kPath && !IsPath(value)) return bad("must be an absolute path without '..'");
  if (key.name == "cgroup" && !IsPath(Cat("/", value)))
    return Fail(Code::kInvalidArgument, "cgroup may not lead upwards");
  if (key.want == ConfKey::kKind && value != "sif" && value != "squashfs" && value != "directory" &&
      value != "store")
    return bad("knows sif, squashfs, directory and store");
  if (key.want == ConfKey::kCapability) TRY(CapabilityNamed(value));
  if (key.want != ConfKey::kBind) return {};
  std::string_view source = value.substr(0, value.find(':')), rest = value.substr(source.size());
  if (rest.ends_with(":ro")) rest.remove_suffix(3);
  if (!IsPath(source) ||
      (!rest.empty() && (!IsPath(rest.substr(1)) || rest.substr(1).find(':') != rest.npos)))
    return bad("must be SRC[:DEST[:ro]] with absolute paths");
  return {};
}

template <class Number>
Result<> AssignNumber(const ConfKey& key, std::string_view value, Number& into) {
  std::string_view digits = value;
  int shift = 0;
  if (constexpr std::string_view kUnits = "kmgt"; sizeof(Number) == 8 && !value.empty()) {
    auto unit = kUnits.find(static_cast<char>(value.back() | 0x20));
    if (unit != kUnits.npos) {
      shift = 10 * (static_cast<int>(unit) + 1);
      digits.remove_suffix(1);
    }
  }
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
  if (error != std::errc() || end != digits.data() + digits.size() ||
      (shift > 0 && into > ~Number{0} >> shift))
    return Fail(Code::kInvalidArgument, key.name, " must be a number, not '", value.substr(0, 80), "'");
  into = static_cast<Number>(static_cast<std::uint64_t>(into) << shift);
  return {};
}

struct Assign {
  const ConfKey& key;
  std::string_view value;
  Result<> operator()(std::string* text) const {
    TRY(CheckText(key, value));
    *text = std::string(value);
    return {};
  }
  Result<> operator()(std::uint32_t* number) const { return AssignNumber(key, value, *number); }
  Result<> operator()(std::uint64_t* bytes) const { return AssignNumber(key, value, *bytes); }
  Result<> operator()(bool* flag) const {
    if (value != "yes" && value != "no")
      return Fail(Code::kInvalidArgument, key.name, " must be yes or no, not '", value.substr(0, 80), "'");
    *flag = value == "yes";
    return {};
  }
  template <class Item>
  Result<> operator()(std::vector<Item>* list) const {
    list->clear();
    for (std::string_view rest = value; !(rest = Trimmed(rest)).empty();) {
      std::string_view word = rest.substr(0, rest.find_first_of(kBlank));
      rest.remove_prefix(word.size());
      TRY((Assign{key, word}(&list->emplace_back())));
    }
    if (list->empty()) return Fail(Code::kInvalidArgument, key.name, " is empty");
    return {};
  }
};

}  // namespace

std::vector<ConfKey> ConfKeys(BrokerConf& conf) {
  ContainerPolicy& policy = conf.container;
  return {{"node", &conf.node},
          {"cluster", &conf.cluster},
          {"run_dir", &conf.run_dir, ConfKey::kPath},
          {"state_dir", &conf.state_dir, ConfKey::kPath},
          {"image_dir", &conf.image_dir, ConfKey::kPath},
          {"controller_key", &conf.controller_key, ConfKey::kPath},
          {"image_keys", &conf.image_keys, ConfKey::kPath},
          {"stepd", &conf.stepd, ConfKey::kPath},
          {"import", &conf.import, ConfKey::kPath},
          {"broker", &conf.broker, ConfKey::kPath},
          {"holder_socket", &conf.holder_socket, ConfKey::kPath},
          {"cgroup", &conf.cgroup},
          {"agent_uid", &conf.agent_uid},
          {"agent_gid", &conf.agent_gid},
          {"import_uid", &conf.import_uid},
          {"import_gid", &conf.import_gid},
          {"import_entries_max", &conf.import_limits.entries},
          {"import_bytes_max", &conf.import_limits.bytes},
          {"import_memory", &conf.import_limits.memory},
          {"import_depth_max", &conf.import_limits.depth},
          {"import_seconds", &conf.import_limits.seconds},
          {"rootless", &conf.rootless},
          {"allow_setuid", &conf.allow_setuid},
          {"allow_exec", &conf.allow_exec},
          {"allow_import", &conf.allow_import},
          {"exec_per_user", &conf.exec_per_user},
          {"limit_owners", &policy.limit_owners},
          {"limit_groups", &policy.limit_groups},
          {"limit_paths", &policy.limit_paths, ConfKey::kPath},
          {"allow_images", &policy.image_kinds, ConfKey::kKind},
          {"signed_by", &policy.signed_by},
          {"bind", &policy.binds, ConfKey::kBind},
          {"forbid_bind", &policy.forbidden_binds, ConfKey::kPath},
          {"allow_user_binds", &policy.user_binds},
          {"allow_overlay", &policy.overlay},
          {"tmpfs_size", &policy.tmpfs_bytes},
          {"default_capabilities", &policy.default_capabilities, ConfKey::kCapability},
          {"allow_capabilities", &policy.allowed_capabilities, ConfKey::kCapability}};
}

Result<BrokerConf> ParseConf(std::string_view text) {
  BrokerConf conf;
  std::vector<ConfKey> keys = ConfKeys(conf);
  std::set<std::string, std::less<>> seen;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view whole = text.substr(0, text.find('\n')), line = Trimmed(whole);
    text.remove_prefix(std::min(whole.size() + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    auto at = [&](std::string_view where) {
      return Cat("line ", number, ", column ", where.data() - whole.data() + 1, ": ");
    };
    auto equals = line.find('=');
    if (equals == line.npos)
      return Fail(Code::kInvalidArgument, at(line), "no '=' in '", line.substr(0, 80), "'");
    std::string_view name = Trimmed(line.substr(0, equals)), value = Trimmed(line.substr(equals + 1));
    auto key = std::find_if(keys.begin(), keys.end(), [&](const ConfKey& k) { return k.name == name; });
    if (key == keys.end())
      return Fail(Code::kInvalidArgument, at(line), "unknown key '", name.substr(0, 80), "'");
    if (!seen.emplace(name).second) return Fail(Code::kInvalidArgument, at(line), name, " is given twice");
    if (auto done = std::visit(Assign{*key, value}, key->slot); !done)
      return Fail(Code::kInvalidArgument, at(value), done.error().message);
  }
  if (conf.image_dir.empty()) conf.image_dir = conf.state_dir + "/images";
  if (conf.holder_socket.empty()) conf.holder_socket = conf.run_dir + "/holder.sock";
  return conf;
}

}  // namespace slipway
