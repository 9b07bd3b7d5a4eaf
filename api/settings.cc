// SPDX-License-Identifier: Apache-2.0
#include "api/settings.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "api/site_settings.h"
#include "base/log/log.h"

namespace slipway {

const Settings& DaemonSettings() {
  using S = Setting;
  static const Settings own = {
      {.key = "cluster.name",
       .type = S::kString,
       .fallback = "cluster",
       .doc = "The cluster's name, as jobs see it."},
      {.key = "cluster.id",
       .type = S::kString,
       .doc = "The random id that `slipway init` made (file cluster-id)."},
      {.key = "tls.ca", .type = S::kString, .doc = "The cluster's CA, a PEM file."},
      {.key = "log.level", .type = S::kString, .fallback = "info", .doc = "debug, info, warn or error."},
      {.key = "log.json",
       .type = S::kBool,
       .fallback = "false",
       .doc = "One JSON object a line instead of key=value."},

      {.key = "controller.listen",
       .type = S::kString,
       .fallback = "127.0.0.1:6821",
       .doc = "host:port for TLS; empty: none. Users come with tokens, agents with certificates."},
      {.key = "controller.socket",
       .type = S::kString,
       .doc = "Unix socket for users of the controller's own host, who come with tokens; empty: none."},
      {.key = "controller.token_socket",
       .type = S::kString,
       .doc = "Unix socket where users of the controller's host get their tokens; empty: none."},
      {.key = "controller.state_dir",
       .type = S::kString,
       .fallback = "/var/lib/slipway/controller",
       .doc = "Where the controller keeps jobs and images."},
      {.key = "controller.cert", .type = S::kString, .doc = "The controller's certificate, a PEM file."},
      {.key = "controller.key", .type = S::kString, .doc = "The key of controller.cert, a PEM file."},
      {.key = "controller.signing_key",
       .type = S::kString,
       .doc = "The Ed25519 key that signs tokens and launch credentials, a PEM file."},
      {.key = "controller.broker_socket",
       .type = S::kString,
       .doc = "Socket of the broker on the controller's host, which imports images; empty: users cannot "
              "upload any."},
      {.key = "controller.token_lifetime",
       .type = S::kDuration,
       .fallback = "1h",
       .low = 10,
       .high = 7 * 86400,
       .doc = "How long a user's token is good for."},
      {.key = "controller.default_time_limit",
       .type = S::kDuration,
       .fallback = "1h",
       .low = 1,
       .doc = "Of a job that asks for none."},
      {.key = "controller.node_lost_after",
       .type = S::kDuration,
       .fallback = "30s",
       .low = 2,
       .doc = "Silence after which a node counts as lost; its jobs run on."},
      {.key = "controller.processes_per_core_max",
       .type = S::kInteger,
       .fallback = "1024",
       .low = 0,
       .high = 1 << 16,
       .doc =
           "Processes and threads that a step may have on a node, for each core it has there; 0: no limit."},
      {.key = "controller.job_cgroup",
       .type = S::kStringList,
       .doc =
           "More limits of every job on every node, lines FILE=VALUE for files of cgroup v2's memory, pids, "
           "cpu, cpuset, io and hugetlb; they come over Slipway's own. N% is of the job's memory there: "
           "memory.high=95%, memory.swap.max=20%, io.weight=50, hugetlb.1GB.max=0."},
      {.key = "controller.reattach_within",
       .type = S::kDuration,
       .fallback = "5s",
       .low = 1,
       .high = 86400,
       .doc = "How long a launch whose client is gone waits for it to come back, before it is ended."},
      {.key = "controller.drain_after_users",
       .type = S::kInteger,
       .fallback = "3",
       .low = 0,
       .high = 1000,
       .doc =
           "A node is drained when jobs of so many users in a row could not be started there or were lost; "
           "0: never."},
      {.key = "controller.heartbeat",
       .type = S::kDuration,
       .fallback = "5s",
       .low = 1,
       .doc = "How often a node says that it lives."},
      {.key = "controller.admins",
       .type = S::kStringList,
       .doc = "Users who may see and cancel every job and raise priorities; root always may."},
      {.key = "controller.upload_bytes_max",
       .type = S::kBytes,
       .fallback = "64G",
       .low = 1 << 20,
       .doc = "The largest image that a user may upload."},
      {.key = "controller.image_quota_user",
       .type = S::kBytes,
       .fallback = "0",
       .doc =
           "What the images of one user may take up on the controller, where `slipway image du --limit` says "
           "nothing else; 0: no limit. Administrators have none."},
      {.key = "controller.image_quota_project",
       .type = S::kBytes,
       .fallback = "0",
       .doc = "The same for the names of one project."},
      {.key = "controller.image_projects_open",
       .type = S::kBool,
       .fallback = "true",
       .doc = "Whether everybody may make names in a project that was given to nobody (`slipway image "
              "project`); if "
              "not, only in the project that is called like his account."},
      {.key = "controller.watchers_max",
       .type = S::kInteger,
       .fallback = "4096",
       .low = 1,
       .high = 1000000,
       .doc = "How many calls may watch or attach to jobs at a time."},

      {.key = "agent.node", .type = S::kString, .doc = "This node's name, as in its certificate."},
      {.key = "agent.controller", .type = S::kString, .doc = "host:port of the controller."},
      {.key = "agent.listen",
       .type = S::kString,
       .fallback = "0.0.0.0:6822",
       .doc = "host:port where other nodes reach this agent, over TLS."},
      {.key = "agent.address",
       .type = S::kString,
       .doc = "host:port that other nodes use for it; empty: agent.listen."},
      {.key = "agent.cert", .type = S::kString, .doc = "This node's certificate, a PEM file."},
      {.key = "agent.key", .type = S::kString, .doc = "The key of agent.cert, a PEM file."},
      {.key = "agent.state_dir",
       .type = S::kString,
       .fallback = "/var/lib/slipway/agent",
       .doc = "Where the agent keeps images and what it must not forget."},
      {.key = "agent.image_cache",
       .type = S::kBytes,
       .fallback = "0",
       .doc = "What the images that a node keeps may take; when a new one needs room, those that were used "
              "longest ago and that no step uses go. 0: half of agent.state_dir's file system."},
      {.key = "agent.broker_socket",
       .type = S::kString,
       .fallback = "/run/slipway/broker.sock",
       .doc = "Socket of this node's broker."},
      {.key = "agent.token_socket",
       .type = S::kString,
       .doc = "Unix socket where users with a job on this node get tokens; empty: none."},
      {.key = "agent.client_dir",
       .type = S::kString,
       .doc = "What is bound into batch containers at /run/slipway/client; empty: nothing."},
      {.key = "agent.devices",
       .type = S::kStringList,
       .fallback = "/dev/infiniband/*,/dev/hfi1*,/dev/cxi*,/dev/xpmem,/dev/knem,/dev/gdrdrv,/dev/kvm,"
                   "/dev/net/tun",
       .doc =
           "Device nodes (patterns) that every step may open, if its user may, beside null, zero, full, "
           "random, urandom, terminals and fuse. Others only if the step was given them (GPUs, --device)."},
      {.key = "agent.cores",
       .type = S::kInteger,
       .fallback = "0",
       .high = 65536,
       .doc = "Cores to offer; 0: all that hwloc finds."},
      {.key = "agent.memory",
       .type = S::kBytes,
       .fallback = "0",
       .doc = "Memory to offer, bytes; 0: all that hwloc finds."},
      {.key = "agent.gpus",
       .type = S::kString,
       .fallback = "auto",
       .doc = "auto: GPUs that are found are offered; none: they are not."},
      {.key = "agent.fabrics",
       .type = S::kString,
       .fallback = "auto",
       .doc =
           "auto: containers of jobs get the devices of InfiniBand, Slingshot, EFA, XPMEM and GDRCopy that "
           "the node has; none: they do not."},
      {.key = "agent.host_root",
       .type = S::kString,
       .fallback = "/",
       .doc = "Root of the tree in which devices and drivers are looked for; another than / for tests."},
      {.key = "agent.private_shm",
       .type = S::kBool,
       .fallback = "true",
       .doc =
           "Each step of a job has a /dev/shm of its own, which goes with it; else the node's, where what a "
           "job leaves stays."},
      {.key = "agent.private_tmp",
       .type = S::kBytes,
       .fallback = "0",
       .doc = "Each step has a /tmp and a /var/tmp of its own in memory, so large at most, which go with it; "
              "0: the node's, where what a job leaves stays."},
      {.key = "agent.job_tmp",
       .type = S::kBytes,
       .fallback = "0",
       .doc =
           "Each job has a /tmp (and /var/tmp) of its own on this node, so large, which its steps share and "
           "which goes with it; it is memory, counted as the job's. 0: only a job that asks (--tmp)."},
      {.key = "agent.job_tmp_max",
       .type = S::kBytes,
       .fallback = "0",
       .doc = "The most that a job may ask for with --tmp; more is refused. 0: half of the node's memory."},
      {.key = "agent.job_shm",
       .type = S::kBytes,
       .fallback = "0",
       .doc =
           "Each job has a /dev/shm of its own on this node, so large, which its steps share and which goes "
           "with it. 0: as agent.private_shm says."},
      {.key = "agent.folder_timeout",
       .type = S::kDuration,
       .fallback = "30s",
       .low = 1,
       .high = 3600,
       .doc =
           "A step whose home, working directory, files' folders or binds do not answer for so long fails, "
           "and says which; other steps of the node go on."},
      {.key = "agent.lease",
       .type = S::kDuration,
       .fallback = "0s",
       .low = 0,
       .high = 2592000,
       .doc =
           "What --lease is for jobs that do not ask: a node whose heartbeats the controller has not "
           "acknowledged for so long ends what runs on it (reason LEASE), counted from when the last one "
           "that was acknowledged had been sent. The controller does not know it and does not wait for it. "
           "0s: jobs run on without their controller."},
      {.key = "agent.health_check",
       .type = S::kString,
       .doc = "A program that says how the node is, as Nagios' plugins do: 0 OK, 1 WARNING, 2 CRITICAL (the "
              "node is drained until it says otherwise), 3 UNKNOWN. Empty: none."},
      {.key = "agent.health_interval",
       .type = S::kDuration,
       .fallback = "60s",
       .low = 1,
       .high = 86400,
       .doc = "How often the node is looked at."},
      {.key = "agent.gpu_interval",
       .type = S::kDuration,
       .fallback = "5m",
       .low = 0,
       .high = 86400,
       .doc = "How often NVIDIA's library is asked whether GPUs have memory errors or do not answer; it may "
              "wake "
              "GPUs that sleep. 0s: only when the agent starts."},
      {.key = "agent.health_timeout",
       .type = S::kDuration,
       .fallback = "30s",
       .low = 1,
       .high = 3600,
       .doc = "A health check that takes longer is ended, and critical."},
      {.key = "agent.health_around_jobs",
       .type = S::kBool,
       .fallback = "true",
       .doc = "The health check also runs before a job's first step on the node and after its last."},
      {.key = "agent.health_disk_free",
       .type = S::kBytes,
       .fallback = "64M",
       .doc =
           "The node is drained while less is free where it keeps its state, its run folder, the image store "
           "or /tmp; 0: not looked at."},
      {.key = "agent.health_memory_free",
       .type = S::kBytes,
       .fallback = "64M",
       .doc = "The node is drained while less memory is available although nothing runs; 0: not looked at."},
      {.key = "agent.health_clock_offset",
       .type = S::kDuration,
       .fallback = "60s",
       .low = 0,
       .high = 86400,
       .doc = "The node is drained while its clock differs more from the controller's; 0s: not looked at."},
      {.key = "agent.prolog",
       .type = S::kString,
       .doc =
           "A program that the agent runs before the first step of a job on this node. Fails it, the node is "
           "drained and the job runs elsewhere. Empty: none."},
      {.key = "agent.epilog",
       .type = S::kString,
       .doc = "A program that the agent runs once nothing of a job is left on this node. Empty: none."},
      {.key = "agent.task_prolog",
       .type = S::kString,
       .doc = "A program of this host that each rank of a step runs in its container, as its user, before "
              "its own "
              "(60 s). What it prints as 'export NAME=value' is for the rank. Empty: none."},
      {.key = "agent.task_epilog",
       .type = S::kString,
       .doc = "The same after the rank's program has ended, unless by SIGKILL. Empty: none."},
      {.key = "agent.prolog_timeout",
       .type = S::kDuration,
       .fallback = "5m",
       .low = 1,
       .high = 86400,
       .doc = "A prolog or epilog that takes longer is ended, and has failed."},
  };
  static const Settings settings = [] {
    Settings all = own, site = SiteSettings();
    all.insert(all.end(), site.begin(), site.end());
    return all;
  }();
  return settings;
}

Result<Config> LoadDaemonConfig(const std::string& file) {
  struct stat there;
  if (::stat(file.c_str(), &there) < 0) return ErrnoFail("settings", file);
  std::string folder = file.substr(0, file.rfind('/') == std::string::npos ? 0 : file.rfind('/'));
  folder = (folder.empty() ? std::string(file.front() == '/' ? "" : ".") : folder) + "/conf.d";
  std::vector<std::string> parts;
  auto close = [](DIR* d) { ::closedir(d); };
  std::unique_ptr<DIR, decltype(close)> dir(::opendir(folder.c_str()), close);
  for (dirent* entry = dir ? ::readdir(dir.get()) : nullptr; entry != nullptr; entry = ::readdir(dir.get())) {
    if (std::string_view(entry->d_name).ends_with(".toml"))
      parts.push_back(Cat(folder, "/", static_cast<const char*>(entry->d_name)));
  }
  std::sort(parts.begin(), parts.end());
  parts.insert(parts.begin(), file);
  return Config::Load(DaemonSettings(), parts);
}

void ApplyLogSettings(const Config& config, const std::string& program) {
  const std::string& level = config.String("log.level");
  LogOptions options;
  options.program = program;
  options.json = config.Bool("log.json");
  if (level == "debug") options.threshold = Level::kDebug;
  if (level == "warn") options.threshold = Level::kWarn;
  if (level == "error") options.threshold = Level::kError;
  SetLogOptions(options);
}

}  // namespace slipway
