// SPDX-License-Identifier: Apache-2.0
// Both specs come from the user's side; whoever acts on one must be able to index with what it says.
#include <algorithm>

#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_spec.h"
#include "launcher/spec/task_order.h"

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

bool HasFd(std::int32_t fd, std::uint32_t fd_count) {
  return fd >= 0 && static_cast<std::uint32_t>(fd) < fd_count;
}

Result<> CheckImage(std::string_view field, const ImageSource& image, std::uint32_t fd_count) {
  if (image.kind < ImageKind::kInherited || image.kind > ImageKind::kFuse2fs)
    return Fail(Code::kInvalidArgument, field, ": unknown kind");
  bool file = image.kind == ImageKind::kSquashfuse || image.kind == ImageKind::kFuse2fs;
  if (image.fd < -1 || (image.fd >= 0 && !HasFd(image.fd, fd_count)) || (file && image.fd < 0))
    return Fail(Code::kInvalidArgument, field, ": no such descriptor");
  if (HasNul(image.path)) return Fail(Code::kInvalidArgument, field, ": the path holds a NUL byte");
  if (image.kind == ImageKind::kDirectory && image.path.empty())
    return Fail(Code::kInvalidArgument, field, ": no directory named");
  return {};
}

Result<> CheckMounts(const std::vector<Mount>& mounts, std::uint32_t fd_count) {
  for (const Mount& mount : mounts) {
    if (mount.type < Mount::kBind || mount.type > Mount::kImage)
      return Fail(Code::kInvalidArgument, "mounts: unknown type ", static_cast<int>(mount.type));
    if (mount.propagation > Mount::kPrivate)
      return Fail(Code::kInvalidArgument, "mounts: unknown propagation ",
                  static_cast<int>(mount.propagation));
    TRY(CheckTarget("mounts", mount.target));
    TRY(CheckImage("mounts: image", mount.image, fd_count));
    if (mount.type == Mount::kImage) {
      if (mount.image.kind != ImageKind::kSquashfuse && mount.image.kind != ImageKind::kFuse2fs)
        return Fail(Code::kInvalidArgument, "mounts: an image that is not in a file");
      TRY(CheckTarget("mounts: place in the image", mount.options));
    }
    if (mount.type == Mount::kBind &&
        (mount.source.empty() || mount.source[0] != '/' || HasNul(mount.source))) {
      return Fail(Code::kInvalidArgument, "mounts: source '", mount.source.substr(0, 128),
                  "' is not an absolute path");
    }
    if (HasNul(mount.options)) return Fail(Code::kInvalidArgument, "mounts: options hold a NUL byte");
  }
  return {};
}

Result<> CheckWriting(const LaunchSpec& spec) {
  const Writing& writing = spec.writing;
  if (HasNul(writing.tmpfs_size) || writing.tmpfs_size.find(',') != std::string::npos)
    return Fail(Code::kInvalidArgument, "writing: tmpfs_size is malformed");
  if (writing.in_place && (spec.image.kind != ImageKind::kDirectory || spec.writable_tmpfs))
    return Fail(Code::kInvalidArgument, "writing: only a directory can be changed in place");
  if (writing.in_place && !writing.overlays.empty())
    return Fail(Code::kInvalidArgument, "writing: overlays over an image that is changed in place");
  if (writing.overlays.size() > 64)
    return Fail(Code::kInvalidArgument, "writing: ", writing.overlays.size(), " overlays, at most 64");
  for (const Overlay& overlay : writing.overlays) {
    TRY(CheckImage("overlay", overlay.image, spec.fd_count));
    if (overlay.image.kind == ImageKind::kInherited)
      return Fail(Code::kInvalidArgument, "overlay: unknown kind");
    if (overlay.writable && (spec.writable_tmpfs || &overlay != &writing.overlays.back()))
      return Fail(Code::kInvalidArgument, "writing: a writable overlay below another");
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
    TRY(CheckImage("image", spec.image, spec.fd_count));
    if (spec.image.kind == ImageKind::kFuse2fs)
      return Fail(Code::kInvalidArgument, "image: an ext file system as root");
    if (HasNul(spec.hostname) || spec.hostname.size() > 64)
      return Fail(Code::kInvalidArgument, "hostname: malformed");
    if (HasNul(spec.app) || spec.app.find('/') != std::string::npos || spec.app.starts_with('.'))
      return Fail(Code::kInvalidArgument, "app: malformed");
    TRY(CheckWriting(spec));
    TRY(CheckMounts(spec.mounts, spec.fd_count));
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
      if (task.own_terminal && task.stdin_fd < 0)
        return Fail(Code::kInvalidArgument, "tasks: a terminal and nobody who asked for it");
      for (std::uint32_t cpu : task.cpus) {
        if (cpu >= 8192) return Fail(Code::kInvalidArgument, "tasks: processor ", cpu);
      }
    }
    TRY(CheckResourceLimits(spec.resource_limits));
    TRY(CheckConfinement(spec.confinement));
    return CheckHooks(spec.hooks);
  }();
  if (!check) return Failure(std::move(check).error().Context("launch spec"));
  return spec;
}

Result<TaskOrder> DecodeTaskOrder(std::string_view bytes, std::size_t stream_count) {
  if (bytes.size() > kTaskOrderBytesMax)
    return Fail(Code::kOutOfRange, "task order of ", bytes.size(), " bytes");
  TaskOrder order = TRY(Decode<TaskOrder>(bytes, "task order"));
  if (order.version != 2)
    return Fail(Code::kInvalidArgument, "task order of version ", order.version, ", this program reads 2");
  auto check = [&]() -> Result<> {
    if (stream_count > kTaskStreamsMax)
      return Fail(Code::kInvalidArgument, stream_count, " descriptors, at most ", kTaskStreamsMax);
    auto there = [&](std::int32_t fd) { return fd >= 0 && static_cast<std::size_t>(fd) < stream_count; };
    if ((order.stdin_fd != -1 && !there(order.stdin_fd)) || !there(order.stdout_fd) ||
        !there(order.stderr_fd))
      return Fail(Code::kInvalidArgument, "streams: no such descriptor");
    if (order.kept_fd != -1 && !there(order.kept_fd))
      return Fail(Code::kInvalidArgument, "kept_fd: no such descriptor");
    if (HasNul(order.kept_fd_variable) || order.kept_fd_variable.find('=') != std::string::npos)
      return Fail(Code::kInvalidArgument, "kept_fd: the name of a variable");
    for (std::uint32_t cpu : order.cpus) {
      if (cpu >= 8192) return Fail(Code::kInvalidArgument, "processor ", cpu);
    }
    if (order.terminal && order.stdin_fd < 0)
      return Fail(Code::kInvalidArgument, "terminal: there is no stdin");
    TRY(CheckArguments(order.argv));
    TRY(CheckEnvironment(order.env));
    if (!order.cwd.empty()) TRY(CheckTarget("cwd", order.cwd));
    return {};
  }();
  if (!check) return Failure(std::move(check).error().Context("task order"));
  return order;
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
    if (!spec.rank_cpus.empty() && spec.rank_cpus.size() != spec.ranks[spec.node_index].size())
      return Fail(Code::kInvalidArgument, "ranks and rank_cpus do not agree");
    if (spec.script.empty()) TRY(CheckArguments(spec.argv));
    TRY(CheckEnvironment(spec.env));
    TRY(CheckMounts(spec.mounts, 0));  // it brings no descriptors
    TRY(CheckHooks(spec.hooks));
    if (!spec.cwd.empty()) TRY(CheckTarget("cwd", spec.cwd));
    if (spec.mpi < MpiKind::kNone || spec.mpi > MpiKind::kPmi)
      return Fail(Code::kInvalidArgument, "mpi: unknown kind");
    for (const TaskDevices& task : spec.task_devices) {
      TRY(CheckEnvironment(task.env));
      for (const std::string& node : task.nodes) TRY(CheckTarget("task_devices", node));
    }
    return {};
  }();
  if (!check) return Failure(std::move(check).error().Context("step spec"));
  return spec;
}

}  // namespace slipway
