// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/conf.h"

namespace slipway::dev {
namespace {

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}
std::string Line(const char* key, const std::string& text) { return Cat(key, " = ", Quoted(text), "\n"); }

std::string Common(const Layout& layout, const std::string& cluster_id) {
  return Cat("# Made by `slipway dev up`; the next one writes it anew.\n[cluster]\n",
             Line("name", layout.name), Line("id", cluster_id), "[tls]\n",
             Line("ca", layout.cluster() + "/ca.pem"));
}

}  // namespace

std::string ControllerToml(const Layout& layout, const Options& options, const std::string& cluster_id) {
  std::string dir = layout.controller();
  return Cat(Common(layout, cluster_id), "[controller]\n", Line("listen", Cat(kControllerAddress, ":6821")),
             Line("socket", layout.socket()), Line("token_socket", layout.token_socket()),
             Line("state_dir", dir + "/state"), Line("cert", layout.cluster() + "/controller.crt"),
             Line("key", layout.cluster() + "/controller.key"),
             Line("signing_key", layout.cluster() + "/signing.key"),
             options.daemons ? Line("broker_socket", dir + "/broker/run/broker.sock") : "");
}

std::string AgentToml(const Layout& layout, const Options& options, const std::string& cluster_id,
                      unsigned k) {
  std::string name = NodeName(k), dir = layout.node(name);
  std::string text =
      Cat(Common(layout, cluster_id), "[agent]\n", Line("node", name),
          Line("controller", Cat(kControllerAddress, ":6821")), Line("listen", Cat(NodeAddress(k), ":6822")),
          Line("address", Cat(NodeAddress(k), ":6822")),
          Line("cert", Cat(layout.cluster(), "/nodes/", name, ".crt")),
          Line("key", Cat(layout.cluster(), "/nodes/", name, ".key")), Line("state_dir", dir + "/state"),
          Line("broker_socket", dir + "/run/broker.sock"), Line("client_dir", dir + "/client"),
          Line("token_socket", dir + "/client/token.sock"));
  // Virtual nodes share the machine: several that offer its GPUs would offer each one several times.
  if (options.nodes > 1) text += Line("gpus", "none");
  if (!options.host_tree.empty()) text += Line("host_root", options.host_tree);
  if (options.cores != 0) text += Cat("cores = ", options.cores, "\n");
  if (options.memory_bytes != 0) text += Cat("memory = ", options.memory_bytes, "\n");
  return text;
}

std::string BrokerConf(const Layout& layout, const Identities& who, const std::string& cluster_id,
                       const std::string& node, const std::string& folder) {
  std::string text = Cat(
      "# Made by `slipway dev up`; the next one writes it anew.\n", "node = ", node,
      "\ncluster = ", cluster_id, "\nrun_dir = ", folder, "/run\nstate_dir = ", folder,
      "/broker\ncontroller_key = ", layout.cluster(), "/controller.pub\nimage_keys = ", layout.cluster(),
      "/image-keys\nstepd = ", layout.bin(), "/slipway-stepd\nimport = ", layout.bin(), "/slipway-import\n");
  text += Cat("agent_uid = ", who.daemon_uid, "\nagent_gid = ", who.daemon_gid, "\n");
  if (who.rootless) return text + "rootless = yes\n";
  text += Cat("import_uid = ", who.import_uid, "\nimport_gid = ", who.import_gid, "\n");
  if (who.systemd) return text;  // the cgroups of steps are made beside the daemons' (delegation.h)
  return text + Cat("cgroup = ", layout.cgroup(), "/", node, "\n");
}

std::string HostsFile(const std::string& hosts_of_host, unsigned nodes) {
  std::string text = hosts_of_host;
  if (!text.empty() && text.back() != '\n') text += '\n';
  for (unsigned k = 1; k <= nodes; ++k) text += Cat(NodeAddress(k), "\t", NodeName(k), "\n");
  return text + Cat(kControllerAddress, "\tcontroller\n");
}

}  // namespace slipway::dev
