// SPDX-License-Identifier: Apache-2.0
// Both specs come from the user's side; whoever acts on one must be able to index with what it says.
#include <algorithm>

#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_spec.h"

namespace slipway {
namespace {

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<> CheckEnvironment(const std::vector<std::string>& env) {
  for (const std::string& entry : env) {
    auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || HasNul(entry))
      return Fail(Code::kInvalidArgument, "env: '", entry.substr(0, 64), "' is not NAME=value");
  }
  return {};
}

Result<> CheckArguments(const std::vector<std::string>& argv) {
  if (argv.empty() || argv[0].empty()) return Fail(Code::kInvalidArgument, "argv: nothing to run");
  if (std::any_of(argv.begin(), argv.end(), HasNul))
    return Fail(Code::kInvalidArgument, "argv: holds a NUL byte");
  return {};
}

Result<> CheckTarget(std::string_view field, std::string_view target) {
  if (target.empty() || target[0] != '/' || HasNul(target) || target.size() > 4095) {
    return Fail(Code::kInvalidArgument, field, ": target '", target.substr(0, 128),
                "' is not an absolute path");
  }
  return {};
}

Result<> CheckMounts(const std::vector<Mount>& mounts) {
  for (const Mount& mount : mounts) {
    if (mount.type < Mount::kBind || mount.type > Mount::kSys)
      return Fail(Code::kInvalidArgument, "mounts: unknown type ", static_cast<int>(mount.type));
    TRY(CheckTarget("mounts", mount.target));
    if (mount.type == Mount::kBind &&
        (mount.source.empty() || mount.source[0] != '/' || HasNul(mount.source))) {
      return Fail(Code::kInvalidArgument, "mounts: source '", mount.source.substr(0, 128),
                  "' is not an absolute path");
    }
    if (HasNul(mount.options)) return Fail(Code::kInvalidArgument, "mounts: options hold a NUL byte");
  }
  return {};
}

}  // namespace

std::string EncodeLaunchSpec(const LaunchSpec& spec) { return Encode(spec); }

Result<LaunchSpec> DecodeLaunchSpec(std::string_view bytes) {
  if (bytes.size() > kLaunchSpecBytesMax)
    return Fail(Code::kOutOfRange, "launch spec of ", bytes.size(), " bytes");
  LaunchSpec spec = TRY(Decode<LaunchSpec>(bytes, "launch spec"));
  if (spec.version != 1)
    return Fail(Code::kInvalidArgument, "launch spec of version ", spec.version, ", this program reads 1");
  auto check = [&]() -> Result<> {
    auto fd_ok = [&](std::int32_t fd) {
      return fd >= -1 && (fd < 0 || static_cast<std::uint32_t>(fd) < spec.fd_count);
    };
    if (spec.image.kind < ImageKind::kInherited || spec.image.kind > ImageKind::kDirectory)
      return Fail(Code::kInvalidArgument, "image: unknown kind");
    if (!fd_ok(spec.image.fd) || (spec.image.kind == ImageKind::kSquashfuse && spec.image.fd < 0))
      return Fail(Code::kInvalidArgument, "image: no such descriptor");
    if (HasNul(spec.image.path) || HasNul(spec.hostname) || spec.hostname.size() > 64)
      return Fail(Code::kInvalidArgument, "image or hostname: malformed");
    if (spec.image.kind == ImageKind::kDirectory && spec.image.path.empty())
      return Fail(Code::kInvalidArgument, "image: no directory named");
    TRY(CheckMounts(spec.mounts));
    for (const InjectedFile& file : spec.files) TRY(CheckTarget("files", file.target));
    TRY(CheckArguments(spec.argv));
    TRY(CheckEnvironment(spec.env));
    if (!spec.cwd.empty()) TRY(CheckTarget("cwd", spec.cwd));
    if (spec.tasks.empty() || spec.tasks.size() > 65536)
      return Fail(Code::kInvalidArgument, "tasks: ", spec.tasks.size(), " of them");
    for (const Task& task : spec.tasks) {
      TRY(CheckEnvironment(task.env));
      if (!fd_ok(task.stdin_fd) || !fd_ok(task.stdout_fd) || !fd_ok(task.stderr_fd) || !fd_ok(task.kept_fd))
        return Fail(Code::kInvalidArgument, "tasks: no such descriptor");
      if (HasNul(task.kept_fd_variable) || task.kept_fd_variable.find('=') != std::string::npos)
        return Fail(Code::kInvalidArgument, "tasks: the name of a variable");
      for (std::uint32_t cpu : task.cpus) {
        if (cpu >= 8192) return Fail(Code::kInvalidArgument, "tasks: processor ", cpu);
      }
    }
    return {};
  }();
  if (!check) return Failure(std::move(check).error().Context("launch spec"));
  return spec;
}

Result<StepSpec> DecodeStepSpec(std::string_view bytes) {
  if (bytes.size() > kStepSpecBytesMax)
    return Fail(Code::kOutOfRange, "step spec of ", bytes.size(), " bytes");
  StepSpec spec = TRY(Decode<StepSpec>(bytes, "step spec"));
  if (spec.version != 1)
    return Fail(Code::kInvalidArgument, "step spec of version ", spec.version, ", this program reads 1");
  auto check = [&]() -> Result<> {
    std::size_t nodes = spec.nodes.size();
    if (nodes == 0 || spec.node_index >= nodes || spec.ranks.size() != nodes ||
        spec.tasks_per_node.size() != nodes) {
      return Fail(Code::kInvalidArgument, "nodes, ranks and node_index do not agree");
    }
    std::vector<std::uint32_t> all;
    for (std::size_t i = 0; i < nodes; ++i) {
      if (spec.ranks[i].size() != spec.tasks_per_node[i])
        return Fail(Code::kInvalidArgument, "ranks and tasks_per_node do not agree");
      all.insert(all.end(), spec.ranks[i].begin(), spec.ranks[i].end());
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] != i) return Fail(Code::kInvalidArgument, "ranks are not 0…n-1, each once");
    }
    if (all.empty()) return Fail(Code::kInvalidArgument, "no ranks");
    if (spec.script.empty()) TRY(CheckArguments(spec.argv));
    TRY(CheckEnvironment(spec.env));
    TRY(CheckMounts(spec.mounts));
    if (!spec.cwd.empty()) TRY(CheckTarget("cwd", spec.cwd));
    if (spec.mpi < MpiKind::kNone || spec.mpi > MpiKind::kPmi)
      return Fail(Code::kInvalidArgument, "mpi: unknown kind");
    return {};
  }();
  if (!check) return Failure(std::move(check).error().Context("step spec"));
  return spec;
}

}  // namespace slipway
