// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/spawn_words.h"

#include <algorithm>

#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::uint64_t kSpawnBytesMax = 4 << 20;  // of all programs of one spawn

void ReadInfo(const std::string& key, const std::string& value, SpawnRequest& spawn, SpawnProgram& program) {
  if (key == "host" || key == "hosts") AddSpawnHosts(value, spawn);
  if (key == "wdir") program.cwd = value;
  if (key == "map_by" || key == "mapby") ReadSpawnMapping(value, spawn);
  if (key == "container_image") spawn.image = value;
}

// A number that says how many pairs follow, of which there can be no more than there are pairs.
Result<std::uint64_t> CountOf(const PmiRequest& request, const char* name) {
  std::string text = request.Get(name);
  if (text.empty()) return 0;
  return ParseNumber(text, 0, kPmiPairsMax);
}

std::size_t BytesOf(const SpawnProgram& program) {
  std::size_t bytes = program.cwd.size();
  for (const std::string& word : program.argv) bytes += word.size();
  return bytes;
}

Result<> Add(SpawnRequest& spawn, SpawnProgram program) {
  std::size_t bytes = BytesOf(program);
  for (const SpawnProgram& other : spawn.programs) bytes += BytesOf(other);
  if (bytes > kSpawnBytesMax || spawn.programs.size() >= kSpawnProgramsMax)
    return Fail(Code::kResourceExhausted, "a spawn of too many programs or arguments");
  spawn.programs.push_back(std::move(program));
  return {};
}

}  // namespace

Result<> AddPmi1Program(const PmiRequest& request, SpawnRequest& spawn) {
  SpawnProgram program{.argv = {request.Get("execname")}};
  program.count = static_cast<std::uint32_t>(TRY(ParseNumber(request.Get("nprocs"), 0, kSpawnRanksMax + 1)));
  std::uint64_t arguments = TRY(CountOf(request, "argcnt"));
  for (std::uint64_t i = 1; i <= arguments; ++i) program.argv.push_back(request.Get(Cat("arg", i)));
  std::uint64_t infos = TRY(CountOf(request, "info_num"));
  for (std::uint64_t i = 0; i < infos; ++i)
    ReadInfo(request.Get(Cat("info_key_", i)), request.Get(Cat("info_val_", i)), spawn, program);
  if (spawn.programs.empty()) {
    std::uint64_t puts = TRY(CountOf(request, "preput_num"));
    for (std::uint64_t i = 0; i < puts; ++i)
      spawn.put.emplace_back(request.Get(Cat("preput_key_", i)), request.Get(Cat("preput_val_", i)));
  }
  return Add(spawn, std::move(program));
}

bool IsLastOfPmi1(const PmiRequest& request) {
  return request.Get("spawnssofar") == request.Get("totspawns");
}

// subcmd=a;maxprocs=2;argc=1;argv0=x;infokeycount=1;infokey0=k;infoval0=v; and again for the next.
Result<SpawnRequest> SpawnOfPmi2(const PmiRequest& request) {
  SpawnRequest spawn;
  std::uint64_t puts = TRY(CountOf(request, "preputcount"));
  for (std::uint64_t i = 0; i < puts; ++i)
    spawn.put.emplace_back(request.Get(Cat("ppkey", i)), request.Get(Cat("ppval", i)));
  auto at = request.pairs.begin();
  auto begins = [](const auto& pair) { return pair.first == "subcmd"; };
  while ((at = std::find_if(at, request.pairs.end(), begins)) != request.pairs.end()) {
    auto end = std::find_if(at + 1, request.pairs.end(), begins);
    PmiRequest one{.command = "subcmd", .pairs = {at, end}};
    SpawnProgram program{.argv = {one.Get("subcmd")}};
    program.count = static_cast<std::uint32_t>(TRY(ParseNumber(one.Get("maxprocs"), 0, kSpawnRanksMax + 1)));
    std::uint64_t arguments = TRY(CountOf(one, "argc"));
    for (std::uint64_t i = 0; i < arguments; ++i) program.argv.push_back(one.Get(Cat("argv", i)));
    std::uint64_t infos = TRY(CountOf(one, "infokeycount"));
    for (std::uint64_t i = 0; i < infos; ++i)
      ReadInfo(one.Get(Cat("infokey", i)), one.Get(Cat("infoval", i)), spawn, program);
    TRY(Add(spawn, std::move(program)));
    at = end;
  }
  return spawn;
}

}  // namespace slipway
