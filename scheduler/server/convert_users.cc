// SPDX-License-Identifier: Apache-2.0
// Users' requests into the core's types. Every bound that keeps one user from hurting the controller is here.
#include <algorithm>
#include <set>

#include "api/mpi.h"
#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "scheduler/server/convert.h"
#include "slipway/v1/job.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kSpecBytesMax = 4 << 20;  // script, environment and all
constexpr std::size_t kNameBytesMax = 256, kPathBytesMax = 4096, kCommentBytesMax = 1024,
                      kRequestIdBytesMax = 64;
constexpr std::size_t kBindsMax = 256;
constexpr std::size_t kHostlistBytesMax = 64 << 10;
constexpr int kKindsMax = 64;
constexpr std::int64_t kTimeMsMax = 253'402'300'799'000;

Result<> CheckLine(std::string_view what, const std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max)
    return Fail(Code::kInvalidArgument, what, ": longer than ", bytes_max, " bytes");
  for (unsigned char c : text) {
    if (c < 0x20 || c == 0x7f)
      return Fail(Code::kInvalidArgument, what, ": control characters are not allowed");
  }
  return {};
}

Result<> CheckNoNul(std::string_view what, const std::string& text) {
  if (text.find('\0') == std::string::npos) return {};
  return Fail(Code::kInvalidArgument, what, ": a NUL byte is not allowed");
}

Resources ResourcesOf(const v1::Resources& in) {
  Resources out;
  out.nodes_min = in.nodes_min();
  out.nodes_max = in.nodes_max();
  out.tasks = in.tasks();
  out.cores_per_task = std::max(in.cores_per_task(), 1u);
  out.tasks_per_node = in.tasks_per_node();
  out.memory_bytes_per_node = in.memory_bytes_per_node();
  out.memory_bytes_per_core = in.memory_bytes_per_core();
  out.exclusive = in.exclusive();
  out.partition = in.partition();
  out.constraint = in.constraint();
  out.reservation = in.reservation();
  out.switches = in.switches();
  out.contiguous = in.contiguous();
  out.layout = static_cast<Layout>(in.layout() < 0 || in.layout() > 2 ? 3 : in.layout());  // 3: refused
  out.fewest_nodes = in.fewest_nodes();
  out.gpus_per_node = in.gpus_per_node();
  out.gpus_per_task = in.gpus_per_task();
  out.gpu_type = in.gpu_type();
  out.choice.Set({in.nodelist(), in.excluded_nodes()});
  for (const v1::Amount& gres : in.gres()) out.gres.push_back({gres.name(), gres.count()});
  for (const v1::Amount& licence : in.licences()) out.licences.push_back({licence.name(), licence.count()});
  return out;
}

// Words that end up in messages and lists.
Result<> CheckWords(const v1::JobSpec& in) {
  const v1::Resources& asked = in.resources();
  TRY(CheckLine("the partition", asked.partition(), kNameBytesMax));
  TRY(CheckLine("the constraint", asked.constraint(), kCommentBytesMax));
  TRY(CheckLine("the reservation", asked.reservation(), kNameBytesMax));
  TRY(CheckLine("the type of GPU", asked.gpu_type(), kNameBytesMax));
  TRY(CheckLine("the account", in.account(), kNameBytesMax));
  TRY(CheckLine("--nodelist", asked.nodelist(), kHostlistBytesMax));
  TRY(CheckLine("--exclude", asked.excluded_nodes(), kHostlistBytesMax));
  TRY(CheckLine("the QOS", in.qos(), kNameBytesMax));
  if (asked.gres_size() > kKindsMax || asked.licences_size() > kKindsMax)
    return Fail(Code::kInvalidArgument, "more than ", kKindsMax, " kinds of resources or licences");
  for (const v1::Amount& gres : asked.gres())
    TRY(CheckLine("a generic resource", gres.name(), kNameBytesMax));
  for (const v1::Amount& licence : asked.licences())
    TRY(CheckLine("a licence", licence.name(), kNameBytesMax));
  return {};
}

std::uint64_t TasksAsked(const Resources& resources) {
  std::uint64_t by_nodes =
      std::uint64_t{std::max(resources.nodes_min, 1u)} * std::max(resources.tasks_per_node, 1u);
  return resources.tasks > 0 ? resources.tasks : by_nodes;
}

Result<Command> CommandOf(const v1::Program& in, std::uint64_t tasks) {
  if (in.ByteSizeLong() > kSpecBytesMax) {
    return Fail(Code::kInvalidArgument, "script, arguments and environment together are larger than ",
                FormatBytes(kSpecBytesMax));
  }
  Command out;
  out.argv.assign(in.argv().begin(), in.argv().end());
  out.script = in.script();
  out.env.assign(in.env().begin(), in.env().end());
  for (const std::string& argument : out.argv) TRY(CheckNoNul("an argument", argument));
  for (const std::string& variable : out.env) {
    TRY(CheckNoNul("the environment", variable));
    auto equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos)
      return Fail(Code::kInvalidArgument, "the environment: an entry is not NAME=value");
  }
  if (in.cwd().empty() || in.cwd().front() != '/')
    return Fail(Code::kInvalidArgument, "cwd: \"", in.cwd().substr(0, 200), "\" is not an absolute path");
  out.cwd = in.cwd();
  out.umask = in.umask() & 0777;
  out.mpi = TRY(MpiKindOf<MpiKind>(in.mpi(), tasks));
  if (static_cast<std::size_t>(in.binds_size()) > kBindsMax)
    return Fail(Code::kInvalidArgument, "more than ", kBindsMax, " binds");
  for (const std::string& bind : in.binds()) {
    TRY(CheckLine("a bind", bind, 2 * kPathBytesMax));
    if (bind.empty() || bind.front() != '/')
      return Fail(Code::kInvalidArgument, "bind \"", bind, "\": the source must be an absolute path");
    out.mounts.push_back(bind);
  }
  if (static_cast<std::size_t>(in.devices_size()) > kBindsMax)
    return Fail(Code::kInvalidArgument, "more than ", kBindsMax, " devices");
  for (const std::string& device : in.devices()) {
    TRY(CheckLine("a device", device, kPathBytesMax));
    if (device.find('/') == std::string::npos || device.find('=') == std::string::npos)
      return Fail(Code::kInvalidArgument, "device \"", device, "\" is not VENDOR/CLASS=NAME");
    // Whose they are is the scheduler's to say.
    for (const char* kind : {"nvidia.com/gpu=", "amd.com/gpu=", "intel.com/gpu="}) {
      if (device.starts_with(kind))
        return Fail(Code::kInvalidArgument, "--device ", device, ": a job asks for GPUs with --gpus");
    }
    out.devices.push_back(device);
  }
  out.writable_tmpfs = in.writable_tmpfs();
  for (const std::string* path : {&in.cwd(), &in.stdin_path(), &in.stdout_path(), &in.stderr_path()})
    TRY(CheckLine("a path", *path, kPathBytesMax));
  out.stdin_path = in.stdin_path();
  out.stdout_path = in.stdout_path();
  out.stderr_path = in.stderr_path();
  out.append_output = in.append_output();
  out.kill_on_bad_exit = !in.keep_on_bad_exit();
  return out;
}

}  // namespace

namespace {

Result<LimitSignal> SignalOf(const v1::LimitSignal& in) {
  if (in.signal() == 0) return LimitSignal{};
  if (in.signal() < 0 || in.signal() > 64)
    return Fail(Code::kInvalidArgument, "--signal: there is no signal ", in.signal());
  if (in.seconds() > UINT16_MAX)
    return Fail(Code::kInvalidArgument, "--signal: at most ", UINT16_MAX, " seconds before the time limit");
  return LimitSignal{static_cast<std::uint8_t>(in.signal()), in.batch_only(),
                     static_cast<std::uint16_t>(in.seconds())};
}

}  // namespace

Result<JobSpec> JobSpecOf(const v1::JobSpec& in) {
  JobSpec out;
  TRY(CheckLine("the job's name", in.name(), kNameBytesMax));
  TRY(CheckLine("the image's name", in.image(), kPathBytesMax));
  TRY(CheckLine("the comment", in.comment(), kCommentBytesMax));
  TRY(CheckWords(in));
  out.name = in.name();
  out.resources = ResourcesOf(in.resources());
  out.interactive = in.interactive();
  // A batch script is one task; what it launches has a layout of its own.
  out.command = TRY(CommandOf(in.program(), out.interactive ? TasksAsked(out.resources) : 1));
  out.command.image.reference = in.image();
  bool streams = out.interactive || in.attended();
  if (!streams && out.command.stdout_path.empty())
    out.command.stdout_path = in.array().empty() ? "slipway-%j.out" : "slipway-%A_%a.out";
  out.command.stream = streams && out.command.stdout_path.empty();
  if (out.name.empty())
    out.name = out.command.script.empty() && !out.command.argv.empty()
                   ? out.command.argv[0].substr(out.command.argv[0].rfind('/') + 1, kNameBytesMax)
                   : "batch";
  TRY(CheckLine("the job's name", out.name, kNameBytesMax));
  out.time_limit_s = in.resources().time_limit_s();
  out.time_min_s = in.resources().time_min_s();
  out.switch_wait_s = in.resources().switch_wait_s();
  out.account = in.account();
  out.qos = in.qos();
  if (in.deadline_ms() < 0 || in.deadline_ms() > kTimeMsMax)
    return Fail(Code::kInvalidArgument, "deadline: not a time before the year 10000");
  out.deadline = {in.deadline_ms() * 1000};
  if (in.priority() > 1'000'000) return Fail(Code::kInvalidArgument, "priority: at most 1000000");
  if (in.nice() > 1'000'000 || in.nice() < -1'000'000)
    return Fail(Code::kInvalidArgument, "nice: between -1000000 and 1000000");
  out.priority = static_cast<std::int32_t>(in.priority());
  out.nice = in.nice();
  if (in.begin_ms() < 0 || in.begin_ms() > kTimeMsMax)
    return Fail(Code::kInvalidArgument, "begin: not a time before the year 10000");
  out.begin = {in.begin_ms() * 1000};
  if (!in.array().empty()) {
    if (streams) return Fail(Code::kInvalidArgument, "what somebody attaches to cannot be an array");
    out.array = TRY(ParseArray(in.array()));
  }
  TRY(ReadDependencies(in.dependency(), out));
  out.hold = in.hold();
  out.requeue = in.requeue();
  out.signal = TRY(SignalOf(in.signal()));
  out.comment = in.comment();
  return out;
}

Result<CreateStep> CreateStepOf(const v1::CreateStepRequest& in) {
  CreateStep out;
  out.job = {in.job_id()};
  TRY(CheckLine("--nodelist", in.resources().nodelist(), kHostlistBytesMax));
  TRY(CheckLine("--exclude", in.resources().excluded_nodes(), kHostlistBytesMax));
  out.resources = ResourcesOf(in.resources());
  TRY(CheckLine("the image's name", in.image(), kPathBytesMax));
  TRY(CheckLine("request_id", in.request_id(), kRequestIdBytesMax));
  out.command = TRY(CommandOf(in.program(), TasksAsked(out.resources)));
  out.command.image.reference = in.image();
  out.command.stream = out.command.stdout_path.empty();
  out.time_limit_s = in.resources().time_limit_s();
  return out;
}

Result<ArrayRequest> ParseArray(std::string_view text) {
  ArrayRequest out;
  std::string_view list = text;
  if (auto percent = text.find('%'); percent != std::string_view::npos) {
    out.max_running = static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(text.substr(percent + 1), 1, kArrayTasksMax), "array: after %"));
    list = text.substr(0, percent);
  }
  std::set<std::uint32_t> indices;
  for (const std::string& part : Split(list, ',')) {
    std::string_view range = part;
    std::uint64_t step = 1;
    if (auto colon = range.find(':'); colon != std::string_view::npos) {
      step = TRY_CONTEXT(ParseNumber(range.substr(colon + 1), 1, UINT32_MAX), "array: after :");
      range = range.substr(0, colon);
    }
    auto dash = range.find('-');
    std::uint64_t first =
        TRY_CONTEXT(ParseNumber(range.substr(0, dash), 0, UINT32_MAX - 1), Cat("array \"", text, "\""));
    std::uint64_t last = first;
    if (dash != std::string_view::npos)
      last = TRY_CONTEXT(ParseNumber(range.substr(dash + 1), first, UINT32_MAX - 1),
                         Cat("array \"", text, "\""));
    if ((last - first) / step >= kArrayTasksMax)
      return Fail(Code::kInvalidArgument, "array: more than ", kArrayTasksMax, " tasks");
    for (std::uint64_t i = first; i <= last; i += step) indices.insert(static_cast<std::uint32_t>(i));
    if (indices.size() > kArrayTasksMax)
      return Fail(Code::kInvalidArgument, "array: more than ", kArrayTasksMax, " tasks");
  }
  out.indices.assign(indices.begin(), indices.end());
  return out;
}

std::string ExpandPath(const std::string& pattern, const JobSpec& spec, const std::string& cwd,
                       const PathNames& names) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (pattern[i] != '%' || next == '\0') {
      out += pattern[i];
      continue;
    }
    ++i;
    switch (next) {
      case '%':
        out += '%';
        break;
      case 'j':
        out += Cat(names.job.value);
        break;
      case 'A':
        out += Cat(names.array.value != 0 ? names.array.value : names.job.value);
        break;
      case 'a':
        out += Cat(names.array_task);
        break;
      case 'x':
        out += spec.name;
        break;
      case 'u':
        out += spec.user.name;
        break;
      case 'N':
        out += names.node.empty() ? std::string("%N") : names.node;
        break;
      case 't':
        out += names.rank ? Cat(*names.rank) : std::string("%t");
        break;
      default:
        out += Cat('%', next);
    }
  }
  return out.empty() || out.front() == '/' ? out : Cat(cwd, cwd.ends_with('/') ? "" : "/", out);
}

}  // namespace slipway::scheduler
