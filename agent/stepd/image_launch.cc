// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/image_launch.h"

#include <algorithm>

#include "agent/stepd/rank_environment.h"
#include "base/text/shell.h"
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

bool IsShellName(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// One program's part of the script: the shell becomes it. Its environment is for it alone.
Result<std::string> Branch(const SpawnProgram& program, std::uint64_t end) {
  std::string line = Cat("if [ \"$SLIPWAY_RANK\" -lt ", end, " ]; then ");
  for (const std::string& entry : program.env) {
    std::size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    if (!IsShellName(std::string_view(entry).substr(0, equals)))
      return Fail(Code::kInvalidArgument, "variable ", entry.substr(0, std::min<std::size_t>(equals, 80)),
                  ": of several programs of another image, names are of letters, digits and _");
    line += Cat("export ", entry.substr(0, equals), "=", ShellQuoted(entry.substr(equals + 1)), "; ");
  }
  if (!program.cwd.empty()) line += Cat("cd -- ", ShellQuoted(program.cwd), " || exit 125; ");
  line += "exec";
  for (const std::string& word : program.argv) line += Cat(" ", ShellQuoted(word));
  return line + "; fi\n";
}

// The command's last words: what each rank runs.
Result<> AddPrograms(const SpawnRequest& request, std::vector<std::string>& argv) {
  if (request.programs.size() == 1) {
    argv.insert(argv.end(), request.programs[0].argv.begin(), request.programs[0].argv.end());
    return {};
  }
  std::string script;
  std::uint64_t end = 0;
  for (const SpawnProgram& program : request.programs) script += TRY(Branch(program, end += program.count));
  argv.insert(argv.end(), {"/bin/sh", "-c", std::move(script)});
  return {};
}

}  // namespace

Result<> ChooseSpawnImage(const StepSpec& spec, SpawnRequest& request) {
  for (SpawnProgram& program : request.programs) {
    if (std::string_view named = ValueOf(program.env, kImage); !named.empty()) {
      if (!request.image.empty() && request.image != named)
        return Fail(Code::kUnimplemented, "the programs of one spawn name image ",
                    request.image.substr(0, 80), " and image ", named.substr(0, 80),
                    ": they are one world, in containers of one image");
      request.image = named;
    }
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
  if (request.programs.empty() || request.programs.size() > kSpawnProgramsMax)
    return Fail(Code::kInvalidArgument, "a spawn of ", request.programs.size(), " programs");
  if (!request.put.empty() || request.need_not_connect)
    return Fail(Code::kUnimplemented, "ranks of another image are spawned by PMIx, as an MPI program");
  std::uint64_t ranks = 0;
  std::vector<std::string> counts;
  for (const SpawnProgram& program : request.programs) {
    if (program.argv.empty() || program.argv[0].empty() || program.count == 0)
      return Fail(Code::kInvalidArgument, "a spawn without a program or without ranks");
    ranks += program.count;
    counts.push_back(Cat(program.count));
  }
  if (ranks > kSpawnRanksMax)
    return Fail(Code::kInvalidArgument, "a spawn of ", ranks, " ranks; at most ", kSpawnRanksMax);
  ImageLaunch launch;
  launch.argv = {Cat(kClientTarget, "/bin/slipway"),
                 "launch",
                 "--mpi=pmix",
                 "--input=/dev/null",
                 Cat("--ntasks=", ranks),
                 Cat("--image=", request.image)};
  if (!request.hosts.empty()) {
    launch.argv.push_back(Cat("--nodelist=", Join(request.hosts, ",")));
    launch.argv.push_back(Cat("--nodes=", request.hosts.size()));
  }
  launch.env = {Cat(kSpawnTicketVariable, "=", ticket)};
  if (request.programs.size() > 1) {
    launch.env.push_back(Cat(kSpawnProgramsVariable, "=", Join(counts, ",")));
  } else {
    const SpawnProgram& program = request.programs[0];
    if (!program.cwd.empty()) launch.argv.push_back(Cat("--pwd=", program.cwd));
    // For the ranks alone: in the command's own environment a rank's LD_PRELOAD would run in the script's
    // container.
    for (const std::string& entry : program.env) {
      if (entry.find('=') != std::string::npos) launch.argv.push_back(Cat("--env=", entry));
    }
  }
  launch.argv.emplace_back("--");
  TRY(AddPrograms(request, launch.argv));
  return launch;
}

std::uint64_t SpawnTicketOf(const StepSpec& spec) {
  auto ticket = ParseNumber(ValueOf(spec.env, Cat(kSpawnTicketVariable, "=")), 1, UINT64_MAX);
  return ticket && spec.rendezvous ? *ticket : 0;
}

// A user may set it too: then it has to fit his own step.
std::vector<std::uint32_t> SpawnProgramsOf(const StepSpec& spec) {
  std::size_t ranks = 0;
  for (const auto& of_node : spec.ranks) ranks += of_node.size();
  std::vector<std::uint32_t> programs;
  std::size_t counted = 0;
  for (std::string_view word : Split(ValueOf(spec.env, Cat(kSpawnProgramsVariable, "=")), ',')) {
    auto count = ParseNumber(word, 1, kSpawnRanksMax);
    if (!count || programs.size() == kSpawnProgramsMax) return {};
    programs.push_back(static_cast<std::uint32_t>(*count));
    counted += *count;
  }
  return SpawnTicketOf(spec) != 0 && counted == ranks ? programs : std::vector<std::uint32_t>();
}

}  // namespace slipway
