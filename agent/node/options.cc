// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "agent/node/agent.h"
#include "base/config/config.h"

namespace slipway {

Result<AgentOptions> AgentOptionsOf(const Config& config) {
  for (const char* key : {"agent.node", "agent.controller", "agent.cert", "agent.key", "tls.ca"}) {
    if (config.String(key).empty()) return Fail(Code::kInvalidArgument, key, " is not set");
  }
  AgentOptions options{
      .node = config.String("agent.node"),
      .controller = config.String("agent.controller"),
      .listen = config.String("agent.listen"),
      .address = config.String("agent.address"),
      .tls = {config.String("tls.ca"), config.String("agent.cert"), config.String("agent.key")},
      .state_dir = config.String("agent.state_dir"),
      .broker_socket = config.String("agent.broker_socket"),
      .token_socket = config.String("agent.token_socket"),
      .client_dir = config.String("agent.client_dir")};
  options.image_cache_bytes = config.Bytes("agent.image_cache");
  options.allowed_devices = config.List("agent.devices");
  options.private_shm = config.Bool("agent.private_shm");
  options.folder_timeout_s = static_cast<std::uint32_t>(config.Seconds("agent.folder_timeout").count());
  options.private_tmp_bytes = config.Bytes("agent.private_tmp");
  options.room = {.tmp_bytes = config.Bytes("agent.job_tmp"),
                  .tmp_bytes_max = config.Bytes("agent.job_tmp_max"),
                  .shm_bytes = config.Bytes("agent.job_shm")};
  options.lease = config.Seconds("agent.lease");
  options.health = {
      .program = config.String("agent.health_check"),
      .around_jobs = config.Bool("agent.health_around_jobs"),
      .interval = config.Seconds("agent.health_interval"),
      .timeout = config.Seconds("agent.health_timeout"),
      .limits = {config.Bytes("agent.health_disk_free"), config.Bytes("agent.health_memory_free"),
                 config.Seconds("agent.health_clock_offset").count() * 1000}};
  options.task_prolog = config.String("agent.task_prolog");
  options.task_epilog = config.String("agent.task_epilog");
  options.gpu_watch.ask_every = config.Seconds("agent.gpu_interval");
  options.gpu_watch.kernel_log_given = STDIN_FILENO;  // by the unit
  options.gate = {.prolog = config.String("agent.prolog"),
                  .epilog = config.String("agent.epilog"),
                  .timeout = config.Seconds("agent.prolog_timeout")};
  options.boot_id = TRY(FindBootId(options.state_dir));
  options.facts = TRY(
      FindNodeFacts(static_cast<std::uint32_t>(config.Integer("agent.cores")), config.Bytes("agent.memory")));
  for (const char* key : {"agent.gpus", "agent.fabrics"}) {
    if (config.String(key) != "auto" && config.String(key) != "none")
      return Fail(Code::kInvalidArgument, key, " is auto or none, not \"", config.String(key), "\"");
  }
  options.devices = TRY(FindNodeDevices({.gpus = config.String("agent.gpus") == "auto",
                                         .fabrics = config.String("agent.fabrics") == "auto",
                                         .host_root = config.String("agent.host_root"),
                                         .cache_file = options.state_dir + "/gpus"}));
  for (const Processor& processor : options.facts.topology.processors)
    options.devices.numa_of_cpu[processor.cpu] = processor.numa;
  return options;
}

}  // namespace slipway
