// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/own_cluster.h"

#include <sys/stat.h>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway::cli {
namespace {

std::string StateOf(const OwnCluster& cluster) { return cluster.home + "/.local/state/slipway"; }
// As systemd names it: RuntimeDirectory=slipway of a user's unit.
std::string RunOf(const OwnCluster& cluster) { return Cat("/run/user/", cluster.uid, "/slipway"); }
std::string Loopback(unsigned port) { return Cat("127.0.0.1:", port); }

std::string Settings(const OwnCluster& c) {
  std::string state = StateOf(c), run = RunOf(c);
  auto line = [](const char* key, const std::string& value) { return Cat(key, " = \"", value, "\"\n"); };
  return Cat("# Made by `slipway init --rootless`; yours to change.\n[cluster]\n", line("name", c.name),
             line("id", c.id), "[tls]\n", line("ca", c.folder + "/ca.pem"), "[controller]\n",
             line("listen", Loopback(c.port)), line("socket", run + "/controller/slipwayd.sock"),
             line("token_socket", run + "/controller/token.sock"), line("state_dir", state + "/controller"),
             line("cert", c.folder + "/controller.crt"), line("key", c.folder + "/controller.key"),
             line("signing_key", c.folder + "/signing.key"), line("broker_socket", run + "/broker.sock"),
             "[agent]\n", line("node", c.node), line("controller", Loopback(c.port)),
             line("listen", Loopback(c.port + 1)), line("cert", Cat(c.folder, "/nodes/", c.node, ".crt")),
             line("key", Cat(c.folder, "/nodes/", c.node, ".key")), line("state_dir", state + "/agent"),
             line("broker_socket", run + "/broker.sock"), line("client_dir", state + "/client"),
             line("token_socket", state + "/client/token/token.sock"));
}

std::string Broker(const OwnCluster& c) {
  return Cat(
      "# Made by `slipway init --rootless`. cgroup is slipway-steps.service of the user's systemd.\nnode = ",
      c.node, "\ncluster = ", c.id, "\nrootless = yes\nagent_uid = ", c.uid, "\nagent_gid = ", c.gid,
      "\nrun_dir = ", RunOf(c), "\nstate_dir = ", StateOf(c), "/broker\ncontroller_key = ", c.folder,
      "/controller.pub\nimage_keys = ", c.folder, "/image-keys\ncgroup = user.slice/user-", c.uid,
      ".slice/user@", c.uid, ".service/app.slice/slipway-steps.service\n");
}

}  // namespace

std::map<std::string, std::string> FilesOf(const OwnCluster& c) {
  return {{c.folder + "/slipway.toml", Settings(c)},
          {c.folder + "/starter.conf", Broker(c)},
          {StateOf(c) + "/client/context.toml",
           Cat("name = \"", c.name, "\"\ncontroller = \"", Loopback(c.port),
               "\"\nca = \"/run/slipway/client/ca.pem\"\n"
               "token_socket = \"/run/slipway/client/token/token.sock\"\n")}};
}

Context ContextOf(const OwnCluster& c) {
  std::string run = RunOf(c);
  return {.name = c.name,
          .controller = Cat("unix:", run, "/controller/slipwayd.sock"),
          .ca = {},
          .token_socket = run + "/controller/token.sock",
          .file = {}};
}

Result<> WriteFiles(const OwnCluster& cluster) {
  std::string state = StateOf(cluster);
  for (const char* folder : {"/controller", "/agent"}) TRY(MakeDirectories(state + folder, 0700));
  for (const char* folder : {"/broker", "/client/bin", "/client/token"})
    TRY(MakeDirectories(state + folder, 0755));
  std::map<std::string, std::string> files = FilesOf(cluster);
  files[state + "/client/ca.pem"] = TRY(ReadFile(cluster.folder + "/ca.pem"));
  struct stat there {};
  for (const auto& [path, text] : files) {
    if (::lstat(path.c_str(), &there) != 0) TRY(WriteFileAtomically(path, text, 0644));
  }
  return {};
}

}  // namespace slipway::cli
