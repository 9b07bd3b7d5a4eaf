// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/image_launch.h"

#include <algorithm>

#include "agent/stepd/rank_environment.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::string_view kImage = "SLIPWAY_SPAWN_IMAGE=", kAllowed = "SLIPWAY_SPAWN_IMAGES=";

std::string_view ValueOf(const std::vector<std::string>& env, std::string_view name_and_equals) {
  std::string_view value;
  for (const std::string& entry : env) {
    if (entry.starts_with(name_and_equals)) value = std::string_view(entry).substr(name_and_equals.size());
  }
  return value;
}

bool NamesForeignNode(const StepSpec& spec, const SpawnRequest& request) {
  return std::any_of(request.hosts.begin(), request.hosts.end(), [&](const std::string& host) {
    return std::find(spec.nodes.begin(), spec.nodes.end(), host) == spec.nodes.end();
  });
}

}  // namespace

Result<> ChooseSpawnImage(const StepSpec& spec, SpawnRequest& request) {
  for (SpawnProgram& program : request.programs) {
    if (std::string_view named = ValueOf(program.env, kImage); !named.empty() && request.image.empty())
      request.image = named;
    std::erase_if(program.env, [](const std::string& entry) { return entry.starts_with(kImage); });
  }
  std::vector<std::string> allowed;
  for (std::string_view image : Split(ValueOf(spec.env, kAllowed), ',')) {
    if (!image.empty()) allowed.emplace_back(image);
  }
  if (request.image.empty() && !allowed.empty()) request.image = allowed[0];
  bool own = request.image.empty() || request.image == spec.image_digest;
  if (own) {
    request.image = spec.rendezvous && NamesForeignNode(spec, request) ? spec.image_digest : std::string();
    return {};
  }
  if (std::find(allowed.begin(), allowed.end(), request.image) == allowed.end())
    return Fail(Code::kPermissionDenied, "image ", request.image.substr(0, 80),
                " is not one that ranks of this step may have containers of: name it in --spawn-image");
  if (!spec.rendezvous)
    return Fail(Code::kUnimplemented, "image ", request.image.substr(0, 80),
                ": ranks of another image are a step of their own, for which the job needs a script (slipway "
                "submit)");
  return {};
}

Result<ImageLaunch> LaunchOf(const SpawnRequest& request, std::uint64_t ticket) {
  if (request.programs.size() != 1)
    return Fail(Code::kUnimplemented, "ranks of another image run one program, not ",
                request.programs.size());
  if (!request.put.empty() || request.need_not_connect)
    return Fail(Code::kUnimplemented, "ranks of another image are spawned by PMIx, as an MPI program");
  const SpawnProgram& program = request.programs[0];
  if (program.argv.empty() || program.argv[0].empty() || program.count == 0)
    return Fail(Code::kInvalidArgument, "a spawn without a program or without ranks");
  ImageLaunch launch;
  launch.argv = {Cat(kClientTarget, "/bin/slipway"),
                 "launch",
                 "--mpi=pmix",
                 "--input=/dev/null",
                 Cat("--ntasks=", program.count),
                 Cat("--image=", request.image)};
  if (!request.hosts.empty()) {
    launch.argv.push_back(Cat("--nodelist=", Join(request.hosts, ",")));
    launch.argv.push_back(Cat("--nodes=", request.hosts.size()));
  }
  if (!program.cwd.empty()) launch.argv.push_back(Cat("--pwd=", program.cwd));
  // For the ranks alone: in the command's own environment a rank's LD_PRELOAD would run in the script's
  // container.
  for (const std::string& entry : program.env) {
    if (entry.find('=') != std::string::npos) launch.argv.push_back(Cat("--env=", entry));
  }
  launch.argv.emplace_back("--");
  launch.argv.insert(launch.argv.end(), program.argv.begin(), program.argv.end());
  launch.env = {Cat(kSpawnTicketVariable, "=", ticket)};
  return launch;
}

std::uint64_t SpawnTicketOf(const StepSpec& spec) {
  auto ticket = ParseNumber(ValueOf(spec.env, Cat(kSpawnTicketVariable, "=")), 1, UINT64_MAX);
  return ticket && spec.rendezvous ? *ticket : 0;
}

}  // namespace slipway
