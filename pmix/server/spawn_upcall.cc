// SPDX-License-Identifier: Apache-2.0
// PMIx_Spawn, under MPI_Comm_spawn: what the asker says of programs and places, in our words. What it demands
// and we cannot do is refused; what it merely suggests (mapping policies, preloading) may be passed over.
#include <cstring>

#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {
namespace {

constexpr char kNonPmi[] = "pmix.nonpmi";  // of PMIx 3's header; not in 4.2's, and Open MPI 4 sends it
constexpr char kContainerImage[] = "container_image";  // ours
constexpr std::uint32_t kRanksOfOneProgramMax = kSpawnRanksMax;

// That would need more than the allocation has, or another kind of job.
bool IsBeyondUs(const pmix_info_t& info) {
  for (const char* key : {PMIX_ADD_HOST, PMIX_ADD_HOSTFILE, PMIX_HOSTFILE, PMIX_SPAWN_TOOL, PMIX_COSPAWN_APP,
                          PMIX_DEBUG_STOP_ON_EXEC, PMIX_DEBUG_STOP_IN_INIT}) {
    if (std::strncmp(info.key, key, PMIX_MAX_KEYLEN) == 0) return true;
  }
  return false;
}

const char* TextIn(const pmix_info_t& info) {
  return info.value.type == PMIX_STRING ? info.value.data.string : nullptr;
}

// False: it is demanded and not to be had.
bool ReadInfo(const pmix_info_t& info, SpawnRequest& request, SpawnProgram* program) {
  if (IsBeyondUs(info)) return false;
  auto is = [&](const char* key) { return std::strncmp(info.key, key, PMIX_MAX_KEYLEN) == 0; };
  const char* text = TextIn(info);
  if (is(PMIX_MAPBY) && text != nullptr) {
    ReadSpawnMapping(text, request);
  } else if (is(PMIX_HOST) && text != nullptr) {
    AddSpawnHosts(text, request);
  } else if (is(PMIX_WDIR) && text != nullptr && program != nullptr) {
    program->cwd = text;
  } else if (is(kContainerImage) && text != nullptr) {
    request.image = text;
  } else if (is(kNonPmi)) {
    request.need_not_connect = info.value.type == PMIX_UNDEF || info.value.data.flag;
  } else {
    return (info.flags & PMIX_INFO_REQD) == 0;
  }
  return true;
}

void Append(char** list, std::vector<std::string>& to) {
  for (; list != nullptr && *list != nullptr; ++list) to.emplace_back(*list);
}

bool ReadApp(const pmix_app_t& app, SpawnRequest& request) {
  SpawnProgram program;
  Append(app.argv, program.argv);
  // argv[0] is what it calls itself; the program is `cmd`.
  if (app.cmd != nullptr && program.argv.empty()) program.argv.emplace_back(app.cmd);
  if (app.cmd != nullptr) program.argv[0] = app.cmd;
  Append(app.env, program.env);
  std::erase_if(program.env, [](const std::string& entry) { return entry.find('=') + 1 <= 1; });
  if (app.cwd != nullptr) program.cwd = app.cwd;
  if (app.maxprocs > 0) program.count = static_cast<std::uint32_t>(app.maxprocs);
  program.count = std::min(program.count, kRanksOfOneProgramMax + 1);
  for (std::size_t i = 0; i < app.ninfo; ++i) {
    if (!ReadInfo(app.info[i], request, &program)) return false;
  }
  request.programs.push_back(std::move(program));
  return true;
}

pmix_status_t StatusOf(const Error& error) {
  switch (error.code) {
    case Code::kResourceExhausted:
      return PMIX_ERR_OUT_OF_RESOURCE;
    case Code::kNotFound:
      return PMIX_ERR_NOT_FOUND;
    case Code::kPermissionDenied:
      return PMIX_ERR_NO_PERMISSIONS;
    case Code::kUnimplemented:
      return PMIX_ERR_NOT_SUPPORTED;
    case Code::kInvalidArgument:
      return PMIX_ERR_BAD_PARAM;
    case Code::kUnavailable:
      return PMIX_ERR_LOST_CONNECTION;
    case Code::kDeadlineExceeded:
      return PMIX_ERR_TIMEOUT;
    default:
      return PMIX_ERR_JOB_FAILED_TO_LAUNCH;
  }
}

}  // namespace

pmix_status_t OnSpawn(const pmix_proc_t* proc, const pmix_info_t infos[], size_t count,
                      const pmix_app_t apps[], size_t app_count, pmix_spawn_cbfunc_t answer, void* context) {
  if (!Target()->places.NodeOf(*proc)) return PMIX_ERR_NOT_SUPPORTED;
  SpawnRequest request{.parent = proc->nspace, .parent_rank = proc->rank};
  for (std::size_t i = 0; i < count; ++i) {
    if (!ReadInfo(infos[i], request, nullptr)) return PMIX_ERR_NOT_SUPPORTED;
  }
  for (std::size_t i = 0; i < app_count; ++i) {
    if (!ReadApp(apps[i], request)) return PMIX_ERR_NOT_SUPPORTED;
  }
  Target()->loop->Post([request = std::move(request), answer, context]() mutable {
    Target()->callbacks.spawn(std::move(request), [answer, context](Result<std::string> name) {
      pmix_nspace_t nspace{};
      if (name) std::memcpy(nspace, name->data(), std::min<std::size_t>(name->size(), PMIX_MAX_NSLEN));
      answer(name ? PMIX_SUCCESS : StatusOf(name.error()), nspace, context);
    });
  });
  return PMIX_SUCCESS;
}

}  // namespace slipway
