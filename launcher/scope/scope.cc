// SPDX-License-Identifier: Apache-2.0
#include "launcher/scope/scope.h"

#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr const char *kService = "org.freedesktop.systemd1", *kPath = "/org/freedesktop/systemd1",
                     *kManager = "org.freedesktop.systemd1.Manager";
constexpr std::uint64_t kWaitUs = 30'000'000;

struct Unref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
  void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using OwnedMessage = std::unique_ptr<sd_bus_message, Unref>;
using OwnedSlot = std::unique_ptr<sd_bus_slot, Unref>;

Failure BusFail(int result, const char* what, const sd_bus_error* error = nullptr) {
  bool said = error != nullptr && error->message != nullptr;
  return Failure(Error{CodeFromErrno(-result), -result,
                       said ? Cat("systemd: ", error->message) : ErrnoErrorOf(-result, what).message});
}

// Frees what a call put into it.
struct BusError {
  sd_bus_error error = SD_BUS_ERROR_NULL;
  ~BusError() { sd_bus_error_free(&error); }
};

Result<> Checked(int result, const char* what) {
  if (result < 0) return BusFail(result, what);
  return {};
}

Result<> AppendNumber(sd_bus_message* message, const char* name, std::optional<std::uint64_t> value) {
  if (!value) return {};
  return Checked(sd_bus_message_append(message, "(sv)", name, "t", *value), name);
}

Result<> AppendCpus(sd_bus_message* message, const std::vector<std::uint32_t>& cpus) {
  if (cpus.empty()) return {};
  std::string mask = CpuMask(cpus);
  TRY(Checked(sd_bus_message_open_container(message, 'r', "sv"), "AllowedCPUs"));
  TRY(Checked(sd_bus_message_append(message, "s", "AllowedCPUs"), "AllowedCPUs"));
  TRY(Checked(sd_bus_message_open_container(message, 'v', "ay"), "AllowedCPUs"));
  TRY(Checked(sd_bus_message_append_array(message, 'y', mask.data(), mask.size()), "AllowedCPUs"));
  TRY(Checked(sd_bus_message_close_container(message), "AllowedCPUs"));
  return Checked(sd_bus_message_close_container(message), "AllowedCPUs");
}

Result<> AppendProperties(sd_bus_message* message, const ScopeRequest& request) {
  const ContainerLimits& limits = request.limits;
  TRY(Checked(sd_bus_message_open_container(message, 'a', "(sv)"), "properties"));
  const char* what = request.delegated ? "a Slipway cluster" : "a Slipway container";
  TRY(Checked(sd_bus_message_append(message, "(sv)", "Description", "s", what), "Description"));
  TRY(Checked(sd_bus_message_append(message, "(sv)", "PIDs", "au", 1U, static_cast<unsigned>(request.pid)),
              "PIDs"));
  // One that failed is not kept for somebody to look at.
  TRY(Checked(sd_bus_message_append(message, "(sv)", "CollectMode", "s", "inactive-or-failed"),
              "CollectMode"));
  if (request.delegated) {
    TRY(Checked(sd_bus_message_append(message, "(sv)", "Delegate", "b", 1), "Delegate"));
    TRY(AppendNumber(message, "TasksMax", UINT64_MAX));  // else systemd's own, a few thousand
  }
  TRY(AppendNumber(message, "CPUQuotaPerSecUSec", limits.cpu_us_per_s));
  TRY(AppendNumber(message, "CPUWeight", limits.cpu_weight));
  TRY(AppendNumber(message, "MemoryMax", limits.memory_bytes));
  TRY(AppendNumber(message, "MemoryLow", limits.memory_low_bytes));
  TRY(AppendNumber(message, "MemorySwapMax", limits.swap_bytes));
  TRY(AppendNumber(message, "TasksMax", limits.processes));
  TRY(AppendCpus(message, limits.cpus));
  TRY(Checked(sd_bus_message_close_container(message), "properties"));
  return Checked(sd_bus_message_append(message, "a(sa(sv))", 0), "auxiliary units");
}

struct Job {
  std::string path, result;  // of the job that we wait for; its result once it is done
  std::vector<std::pair<std::string, std::string>> removed;  // seen before we knew which is ours
};

int OnJobRemoved(sd_bus_message* message, void* user, sd_bus_error*) {
  auto* job = static_cast<Job*>(user);
  std::uint32_t id = 0;
  const char *path = nullptr, *unit = nullptr, *result = nullptr;
  if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0) return 0;
  job->removed.emplace_back(path, result);
  return 0;
}

Result<> WaitFor(sd_bus* bus, Job& job) {
  for (;;) {
    for (auto& [path, result] : job.removed) {
      if (path != job.path) continue;
      if (result == "done") return {};
      return Fail(Code::kFailedPrecondition, "systemd could not make the scope: its job ended as '", result,
                  "'");
    }
    job.removed.clear();
    int result = sd_bus_process(bus, nullptr);
    if (result < 0) return BusFail(result, "talking to systemd");
    if (result > 0) continue;
    result = sd_bus_wait(bus, kWaitUs);
    if (result < 0) return BusFail(result, "waiting for systemd");
    if (result == 0) return Fail(Code::kDeadlineExceeded, "systemd did not make the scope within 30 s");
  }
}

Result<std::string> CgroupOf(sd_bus* bus, const std::string& unit) {
  BusError error;
  sd_bus_message* raw = nullptr;
  int result =
      sd_bus_call_method(bus, kService, kPath, kManager, "GetUnit", &error.error, &raw, "s", unit.c_str());
  OwnedMessage reply(raw);
  if (result < 0) return BusFail(result, "GetUnit", &error.error);
  const char* path = nullptr;
  TRY(Checked(sd_bus_message_read(reply.get(), "o", &path), "GetUnit"));
  char* text = nullptr;
  result = sd_bus_get_property_string(bus, kService, path, "org.freedesktop.systemd1.Scope", "ControlGroup",
                                      &error.error, &text);
  if (result < 0) return BusFail(result, "ControlGroup", &error.error);
  std::string cgroup = text;
  std::free(text);
  if (!cgroup.starts_with('/') || cgroup.find("..") != std::string::npos)
    return Fail(Code::kInternal, "systemd names no cgroup for ", unit);
  return cgroup;
}

// Nodes often have no message bus for users: systemd then listens for its own tools alone, with the same
// interface and without a bus between.
sd_bus* OpenDirectly(const std::string& socket) {
  sd_bus* bus = nullptr;
  if (sd_bus_new(&bus) < 0) return nullptr;
  if (sd_bus_set_address(bus, Cat("unix:path=", socket).c_str()) >= 0 && sd_bus_start(bus) >= 0) return bus;
  sd_bus_unref(bus);
  return nullptr;
}

}  // namespace

std::string CpuMask(const std::vector<std::uint32_t>& cpus) {
  std::string mask(cpus.empty() ? 0 : cpus.back() / 8 + 1, '\0');
  for (std::uint32_t cpu : cpus) mask[cpu / 8] = static_cast<char>(mask[cpu / 8] | 1 << cpu % 8);
  return mask;
}

Result<sd_bus*> OpenManager() {
  bool root = ::geteuid() == 0;
  std::string runtime = root ? "/run" : Cat("/run/user/", ::geteuid());
  // Who came by su or cron has no such variable, and still may have a systemd.
  if (!root) ::setenv("XDG_RUNTIME_DIR", runtime.c_str(), 0);
  sd_bus* bus = nullptr;
  int result = root ? sd_bus_open_system(&bus) : sd_bus_open_user(&bus);
  if (result >= 0) return bus;
  if (auto direct = OpenDirectly(Cat(runtime, "/systemd/private"))) return direct;
  return Fail(Code::kUnavailable,
              root ? "limits take systemd, which does not answer here ("
                   : "limits take a systemd of your own, which does not answer here (",
              ErrnoErrorOf(-result, "D-Bus").message,
              root ? "); run a job instead, whose limits the cluster holds"
                   : "); log in so that systemd knows you (ssh does, su does not), or run a job instead");
}

Result<std::string> StartScope(sd_bus* bus, const ScopeRequest& request) {
  Job job;
  sd_bus_slot* raw_slot = nullptr;
  TRY(Checked(sd_bus_match_signal(bus, &raw_slot, nullptr, kPath, kManager, "JobRemoved", OnJobRemoved, &job),
              "listening to systemd"));
  OwnedSlot slot(raw_slot);
  BusError error;
  // Without it a user's manager sends no signals; one that has no such need says so and goes on.
  sd_bus_call_method(bus, kService, kPath, kManager, "Subscribe", nullptr, nullptr, nullptr);
  sd_bus_message *raw = nullptr, *raw_reply = nullptr;
  TRY(Checked(sd_bus_message_new_method_call(bus, &raw, kService, kPath, kManager, "StartTransientUnit"),
              "StartTransientUnit"));
  OwnedMessage message(raw);
  TRY(Checked(sd_bus_message_append(raw, "ss", request.unit.c_str(), "fail"), "StartTransientUnit"));
  TRY(AppendProperties(raw, request));
  int result = sd_bus_call(bus, raw, kWaitUs, &error.error, &raw_reply);
  OwnedMessage reply(raw_reply);
  if (result < 0) return BusFail(result, "StartTransientUnit", &error.error);
  const char* path = nullptr;
  TRY(Checked(sd_bus_message_read(raw_reply, "o", &path), "StartTransientUnit"));
  job.path = path;
  TRY(WaitFor(bus, job));
  return CgroupOf(bus, request.unit);
}

Result<> CheckLimitsHold(const std::string& folder, const ContainerLimits& limits) {
  struct Need {
    bool wanted;
    const char *file, *controller;
  };
  const Need needs[] = {{limits.cpu_us_per_s.has_value(), "cpu.max", "cpu"},
                        {limits.cpu_weight.has_value(), "cpu.weight", "cpu"},
                        {limits.memory_bytes.has_value(), "memory.max", "memory"},
                        {limits.memory_low_bytes.has_value(), "memory.low", "memory"},
                        {limits.swap_bytes.has_value(), "memory.swap.max", "memory (with swap accounting)"},
                        {limits.processes.has_value(), "pids.max", "pids"},
                        {!limits.cpus.empty(), "cpuset.cpus", "cpuset"}};
  for (const Need& need : needs) {
    if (!need.wanted || ::access(Cat(folder, "/", need.file).c_str(), F_OK) == 0) continue;
    return Fail(
        Code::kFailedPrecondition, "the limit cannot be held: the cgroup controller ", need.controller,
        " is not delegated to users on this host; its admin can: [Service] Delegate=cpu cpuset memory "
        "pids in /etc/systemd/system/user@.service.d/delegate.conf");
  }
  return {};
}

}  // namespace slipway
