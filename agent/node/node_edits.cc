// SPDX-License-Identifier: Apache-2.0
#include "agent/node/node_edits.h"

#include <glob.h>

#include <set>

#include "hooks/cdi/devices.h"
#include "hooks/edits/edits.h"
#include "hooks/oci/hooks_d.h"

namespace slipway {
namespace {

bool RunsInside(const Hook& hook) {
  return hook.stage == HookStage::kCreateContainer || hook.stage == HookStage::kStartContainer;
}

// The user's groups, as the controller signed them.
Result<> CheckSignedGroups(const ContainerEdits& edits, const SignedCredential& credential) {
  if (edits.additional_gids.empty()) return {};
  auto who = TRY(Decode<LaunchCredential>(credential.body, "credential"));
  std::vector<std::uint32_t> groups(who.groups.begin(), who.groups.end());
  groups.push_back(who.gid);
  return CheckGroups(edits, groups);
}

Result<> AddDevices(const v1::LaunchStep& launch, const EditFolders& folders, LaunchPlan& plan,
                    std::vector<std::string>& notes) {
  const auto& wanted = launch.program().devices();
  CdiAnswer devices = TRY(ResolveDevices({wanted.begin(), wanted.end()}, folders.cdi));
  for (std::string& warning : devices.warnings) notes.push_back(std::move(warning));
  for (const Hook& hook : devices.edits.hooks) {
    if (!RunsInside(hook))
      return Fail(Code::kUnimplemented, "a device wants ", hook.path, " run at ", StageName(hook.stage),
                  ", which a step of a job does not have");
  }
  TRY(CheckSignedGroups(devices.edits, plan.credential));
  for (const DeviceNode& device : devices.edits.devices)
    plan.devices.of_step.push_back(TRY(DeviceAt(device.host_path)));
  ApplyEdits(devices.edits, plan.spec);
  return {};
}

// File names of the libraries among `mounts` that were not there before, as the host has them: a driver's
// have its version in them.
std::vector<std::string> LibrariesIn(const std::vector<Mount>& mounts, const std::vector<Mount>& before) {
  std::set<std::string> names, known;
  for (const Mount& mount : before) known.insert(mount.target);
  for (const Mount& mount : mounts) {
    if (mount.type != Mount::kBind || known.contains(mount.target)) continue;
    std::string name = mount.source.substr(mount.source.rfind('/') + 1);
    if (name.find(".so") != name.npos && name.find(' ') == name.npos) names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

}  // namespace

std::vector<DeviceRule> DevicesAt(const std::vector<std::string>& patterns) {
  std::vector<DeviceRule> rules;
  for (const std::string& pattern : patterns) {
    glob_t found{};
    if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) {
        if (auto rule = DeviceAt(found.gl_pathv[i])) rules.push_back(*rule);
      }
    }
    ::globfree(&found);
  }
  return rules;
}

EditFolders EditFolders::OfTheHost() { return {kCdiFolders, kHookFolders}; }

Result<std::vector<std::string>> AddNodeEdits(const v1::LaunchStep& launch, const EditFolders& folders,
                                              NodeDevices& devices, LaunchPlan& plan) {
  std::vector<std::string> notes;
  const std::vector<Mount> own_mounts = plan.spec.mounts;
  TRY(AddNodeDevices(launch, devices, folders.cdi, plan, notes));
  if (launch.program().devices_size() != 0) TRY_CONTEXT(AddDevices(launch, folders, plan, notes), "--device");
  HookOccasion occasion{.command = plan.spec.argv.empty() ? "" : plan.spec.argv[0],
                        .has_bind_mounts = launch.program().binds_size() != 0};
  ContainerEdits hooks;
  for (Hook& hook : TRY(HooksFor(occasion, folders.hooks))) {
    if (RunsInside(hook)) {
      hooks.hooks.push_back(std::move(hook));
    } else {
      notes.push_back(
          Cat("hook ", hook.path, ": left out, a step of a job has no stage ", StageName(hook.stage)));
    }
  }
  ApplyEdits(hooks, plan.spec);
  plan.gpus.assign(launch.gpu_ids().begin(), launch.gpu_ids().end());
  plan.libraries = LibrariesIn(plan.spec.mounts, own_mounts);
  for (std::vector<DeviceRule>& own : plan.devices.of_tasks)
    own.insert(own.end(), plan.devices.of_step.begin(), plan.devices.of_step.end());
  return notes;
}

}  // namespace slipway
