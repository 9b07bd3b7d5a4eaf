// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/conf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>
#include <map>
#include <set>
#include <variant>

#include "base/os/fd.h"

namespace slipway {
namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Each key and where it goes. A path must be absolute, a number must be all of the value.
using Slot = std::variant<std::string*, std::uint32_t*, bool*>;
std::map<std::string, Slot, std::less<>> Slots(BrokerConf& conf) {
  return {{"node", &conf.node},
          {"cluster", &conf.cluster},
          {"run_dir", &conf.run_dir},
          {"state_dir", &conf.state_dir},
          {"image_dir", &conf.image_dir},
          {"controller_key", &conf.controller_key},
          {"stepd", &conf.stepd},
          {"import", &conf.import},
          {"holder_socket", &conf.holder_socket},
          {"cgroup", &conf.cgroup},
          {"agent_uid", &conf.agent_uid},
          {"agent_gid", &conf.agent_gid},
          {"import_uid", &conf.import_uid},
          {"import_gid", &conf.import_gid},
          {"rootless", &conf.rootless}};
}

Result<> Assign(std::string_view key, const Slot& slot, std::string_view value) {
  if (auto* text = std::get_if<std::string*>(&slot)) {
    bool path = key != "node" && key != "cluster" && key != "cgroup";
    if (value.empty() || value.find('\0') != std::string_view::npos)
      return Fail(Code::kInvalidArgument, key, " is empty");
    if (path && value[0] != '/')
      return Fail(Code::kInvalidArgument, key, " must be an absolute path, not '", value, "'");
    if (key == "cgroup" && Cat("/", value, "/").find("/../") != std::string::npos) {
      return Fail(Code::kInvalidArgument, "cgroup may not lead upwards");
    }
    **text = std::string(value);
  } else if (auto* number = std::get_if<std::uint32_t*>(&slot)) {
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), **number);
    if (error != std::errc() || end != value.data() + value.size())
      return Fail(Code::kInvalidArgument, key, " must be a number, not '", value, "'");
  } else {
    if (value != "yes" && value != "no")
      return Fail(Code::kInvalidArgument, key, " must be yes or no, not '", value, "'");
    *std::get<bool*>(slot) = value == "yes";
  }
  return {};
}

Result<> CheckOwner(const struct stat& info, uid_t owner, const std::string& path) {
  if (info.st_uid != 0 && info.st_uid != owner)
    return Fail(Code::kPermissionDenied, path, " belongs to user ", info.st_uid,
                ": it must be root's or our own");
  // A directory with the sticky bit (/tmp) keeps others from removing what is ours, but not from planting
  // names.
  if ((info.st_mode & 022) != 0)
    return Fail(Code::kPermissionDenied, path, " can be written by others than its owner");
  return {};
}

}  // namespace

Result<BrokerConf> ParseConf(std::string_view text) {
  BrokerConf conf;
  auto slots = Slots(conf);
  std::set<std::string, std::less<>> seen;
  int number = 0;
  while (!text.empty()) {
    ++number;
    auto end = text.find('\n');
    std::string_view line = Trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#') continue;
    auto equals = line.find('=');
    if (equals == std::string_view::npos)
      return Fail(Code::kInvalidArgument, "line ", number, ": no '=' in '", line, "'");
    std::string_view key = Trimmed(line.substr(0, equals));
    auto slot = slots.find(key);
    if (slot == slots.end())
      return Fail(Code::kInvalidArgument, "line ", number, ": unknown key '", key, "'");
    if (!seen.emplace(key).second)
      return Fail(Code::kInvalidArgument, "line ", number, ": ", key, " is given twice");
    TRY_CONTEXT(Assign(key, slot->second, Trimmed(line.substr(equals + 1))), Cat("line ", number));
  }
  for (const char* key : {"node", "cluster", "agent_uid"}) {
    if (!seen.contains(key)) return Fail(Code::kInvalidArgument, "the key ", key, " is missing");
  }
  if (conf.image_dir.empty()) conf.image_dir = conf.state_dir + "/images";
  if (conf.holder_socket.empty()) conf.holder_socket = conf.run_dir + "/holder.sock";
  return conf;
}

Result<std::string> ReadTrustedFile(const std::string& path, uid_t owner) {
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (::fstat(fd.get(), &info) < 0) return ErrnoFail("fstat", path);
  if (!S_ISREG(info.st_mode)) return Fail(Code::kPermissionDenied, path, " is not a regular file");
  TRY(CheckOwner(info, owner, path));
  return TRY_CONTEXT(ReadAll(fd.get(), 64 << 10), path);
}

Result<> MakeTrustedDirectory(const std::string& path, uid_t owner, unsigned mode) {
  TRY(MakeDirectories(path, mode));
  struct stat info;
  if (::stat(path.c_str(), &info) < 0) return ErrnoFail("stat", path);
  if (!S_ISDIR(info.st_mode)) return Fail(Code::kInvalidArgument, path, " is not a directory");
  return CheckOwner(info, owner, path);
}

Result<BrokerConf> LoadConf(const std::string& path) {
  std::string text = TRY(ReadTrustedFile(path, ::geteuid()));
  return TRY_CONTEXT(ParseConf(text), path);
}

}  // namespace slipway
