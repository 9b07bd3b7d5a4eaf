// SPDX-License-Identifier: Apache-2.0
#include "hooks/cdi/write_cdi.h"

#include "base/json/strict.h"
#include "base/text/text.h"

namespace slipway {
namespace {

using Ordered = nlohmann::ordered_json;

Ordered MountJson(const Mount& mount) {
  Ordered options = Ordered::array({mount.read_only ? "ro" : "rw", "nosuid", "nodev", "rbind"});
  return {{"hostPath", mount.source}, {"containerPath", mount.target}, {"options", options}};
}

Ordered HookJson(const Hook& hook) {
  Ordered json = {{"hookName", StageName(hook.stage)}, {"path", hook.path}};
  if (!hook.args.empty()) json["args"] = hook.args;
  if (!hook.env.empty()) json["env"] = hook.env;
  return json;
}

Ordered EditsJson(const ContainerEdits& edits) {
  Ordered json = Ordered::object();
  std::vector<std::string> env = edits.env;
  if (!edits.library_folders.empty())
    env.push_back(Cat("LD_LIBRARY_PATH=", Join(edits.library_folders, ":")));
  if (!env.empty()) json["env"] = env;
  for (const DeviceNode& device : edits.devices) {
    Ordered node = {{"path", device.path}};
    if (device.host_path != device.path) node["hostPath"] = device.host_path;
    json["deviceNodes"].push_back(std::move(node));
  }
  for (const Mount& mount : edits.mounts) json["mounts"].push_back(MountJson(mount));
  for (const Hook& hook : edits.hooks) json["hooks"].push_back(HookJson(hook));
  return json;
}

}  // namespace

std::string CdiJson(const CdiSpec& spec) {
  Ordered json = {{"cdiVersion", spec.version}, {"kind", spec.kind}};
  json["devices"] = Ordered::array();
  for (const CdiDevice& device : spec.devices)
    json["devices"].push_back({{"name", device.name}, {"containerEdits", EditsJson(device.edits)}});
  json["containerEdits"] = EditsJson(spec.edits);
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

}  // namespace slipway
