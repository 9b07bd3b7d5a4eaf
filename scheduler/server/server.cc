// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/server.h"

#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/tls.h"
#include "base/log/log.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/image_desk.h"
#include "scheduler/server/services.h"
#include "scheduler/server/site_hooks.h"
#include "scheduler/server/site_of.h"
#include "scheduler/store/sqlite_store.h"

namespace slipway::scheduler {
namespace {

// Calls are answered in milliseconds; a connection whose client does not read is waited for no longer.
constexpr auto kStopPatience = std::chrono::seconds(1);

Result<std::string> Required(const Config& config, std::string_view key) {
  const std::string& value = config.String(key);
  if (value.empty()) return Fail(Code::kInvalidArgument, key, " is not set");
  return value;
}

}  // namespace

Server::Server(Loop& loop) : loop_(loop) {}

Result<std::unique_ptr<Server>> Server::Start(Loop& loop, const Config& config,
                                              std::function<void(const Error&)> failed) {
  std::unique_ptr<Server> server(new Server(loop));
  std::string cluster_id = TRY(Required(config, "cluster.id"));
  std::string key_file = TRY(Required(config, "controller.signing_key"));
  SigningKey key = TRY_CONTEXT(SigningKey::FromPem(TRY(ReadFile(key_file, 1 << 16))), key_file);
  VerifyingKey verifying = TRY(VerifyingKey::FromPem(TRY(key.PublicPem())));
  std::vector<std::string> unknown;
  server->authenticator_ = std::make_unique<Authenticator>(cluster_id, std::move(verifying),
                                                           config.List("controller.admins"), unknown);
  for (const std::string& name : unknown)
    Log(Level::kWarn,
        "controller.admins names a user without an account; he is no administrator until a restart finds one",
        {{"user", name}});
  TRY(server->OpenState(config, std::move(key), cluster_id, std::move(failed)));
  TRY(server->OpenDoors(config));
  TRY(server->OpenTokenSocket(config));
  return server;
}

Result<> Server::OpenState(const Config& config, SigningKey key, const std::string& cluster_id,
                           std::function<void(const Error&)> failed) {
  std::string state_dir = TRY(Required(config, "controller.state_dir"));
  TRY(MakeDirectories(state_dir, 0700));
  auto store =
      TRY_CONTEXT(OpenSqliteStore({.path = state_dir + "/jobs.db"},
                                  [this](std::function<void()> task) { loop_.Post(std::move(task)); }),
                  state_dir + "/jobs.db");
  images_ = TRY_CONTEXT(ImageDesk::Open(loop_, {state_dir, config.String("controller.broker_socket"),
                                                config.Bytes("controller.upload_bytes_max"),
                                                config.Bytes("controller.image_quota_user"),
                                                config.Bytes("controller.image_quota_project"),
                                                config.Bool("controller.image_projects_open")}),
                        state_dir);
  HeadOptions options{.cluster_id = cluster_id, .cluster_name = config.String("cluster.name")};
  options.drain_after_users = static_cast<std::uint32_t>(config.Integer("controller.drain_after_users"));
  options.processes_per_core_max =
      static_cast<std::uint32_t>(config.Integer("controller.processes_per_core_max"));
  options.job_cgroup = config.List("controller.job_cgroup");
  TRY_CONTEXT(CgroupSettingsOf({.memory_bytes = 1 << 30, .site = options.job_cgroup}),
              "controller.job_cgroup");
  options.node_lost_after = config.Seconds("controller.node_lost_after");
  options.heartbeat = config.Seconds("controller.heartbeat");
  options.reattach_within = config.Seconds("controller.reattach_within");
  options.site = std::make_shared<const Site>(TRY(SiteOf(config)));
  options.fence = TRY(FenceRulesOf(config));
  options.gpus_file = state_dir + "/gpus";
  options.libc_of = [images = images_.get()](const std::string& digest) { return images->LibcOf(digest); };
  head_ = TRY(Head::Start(loop_, std::move(store), key, options, std::move(failed)));
  hooks_ = std::make_unique<SiteHooks>(
      HookRules{config.String("hooks.submit_filter"), config.String("hooks.priority"),
                config.Seconds("hooks.deadline"), config.Bool("hooks.failure_refuses")});
  context_.reset(
      new ServiceContext{loop_, *head_, *authenticator_, *images_, std::move(key), cluster_id, *hooks_,
                         std::chrono::milliseconds(config.Seconds("controller.token_lifetime")).count(),
                         config.Integer("controller.watchers_max")});
  return {};
}

Result<> Server::OpenDoors(const Config& config) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  builder.SetMaxSendMessageSize(kRpcMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a second slipwayd on this port is a mistake
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
  const std::string listen = config.String("controller.listen");
  if (!listen.empty()) {
    TlsFiles files{config.String("tls.ca"), config.String("controller.cert"),
                   config.String("controller.key")};
    auto credentials = TRY(MakeServerCredentials(files, ClientCertificate::kOptional));
    builder.AddListeningPort(listen, credentials, &port_);
  }
  const std::string socket = config.String("controller.socket");
  if (!socket.empty()) {
    ::unlink(socket.c_str());  // the store's lock has shown that no other slipwayd has it
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  }
  if (listen.empty() && socket.empty())
    return Fail(Code::kInvalidArgument, "neither controller.listen nor controller.socket is set");
  for (auto make :
       {MakeJobService, MakeNodeService, MakeNodeLinkService, MakeImageService, MakeCatalogueService,
        MakeImageSourceService, MakeAccountService, MakeReservationService}) {
    services_.push_back(make(*context_));
    builder.RegisterService(services_.back().get());
  }
  grpc_ = builder.BuildAndStart();
  if (!grpc_ || (!listen.empty() && port_ == 0)) {
    return Fail(Code::kUnavailable, "cannot listen on ", listen,
                listen.empty() || socket.empty() ? "" : " and ", socket,
                " (is something else listening there?)");
  }
  if (!socket.empty() && ::chmod(socket.c_str(), 0666) < 0) return ErrnoFail("chmod", socket);
  return {};
}

Result<> Server::OpenTokenSocket(const Config& config) {
  const std::string& path = config.String("controller.token_socket");
  if (path.empty()) return {};
  tokens_ = TRY(TokenSocket::Listen(loop_, path, [this](const PeerIdentity& peer, TokenSocket::Reply reply) {
    std::int64_t now_ms = head_->Now().us / 1000;
    reply(SignToken({context_->cluster_id,
                     peer.uid,
                     now_ms,
                     now_ms + context_->token_lifetime_ms,
                     {},
                     std::string(kControllerIssuer)},
                    context_->key));
  }));
  return {};
}

void Server::Stop(std::function<void()> done) {
  if (stopper_.joinable()) return;
  tokens_.reset();
  head_->CloseAllNodes();
  // Shutdown waits for reactors that need this thread.
  stopper_ = std::thread([this, done = std::move(done)] {
    if (grpc_) grpc_->Shutdown(std::chrono::system_clock::now() + kStopPatience);
    if (grpc_) grpc_->Wait();
    loop_.Post(done);
  });
}

Server::~Server() {
  if (stopper_.joinable()) stopper_.join();
  grpc_.reset();
  services_.clear();
  context_.reset();
  head_.reset();
}

}  // namespace slipway::scheduler
