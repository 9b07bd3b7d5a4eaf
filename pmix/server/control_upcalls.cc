// SPDX-License-Identifier: Apache-2.0
// What a rank asks of its host besides data: a line among its output (PMIx_Log: so Open MPI 5 shows its help,
// of which libpmix then lets one of many through), and signals to other ranks (PMIx_Job_control).
#include <csignal>
#include <cstring>

#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {
namespace {

constexpr std::uint32_t kDoneByLibpmix = 0x80000000;  // in an info's flags: one of many alike, or written
constexpr std::size_t kLogBytesMax = 64 << 10;

struct LogLines {
  std::vector<std::pair<bool, std::string>> said;  // to stderr?
  bool refused = false;
};

bool Is(const pmix_info_t& info, const char* key) {
  return std::strncmp(info.key, key, PMIX_MAX_KEYLEN) == 0;
}

// The node's syslog is written by a plugin of libpmix, before us.
LogLines LinesOf(const pmix_info_t data[], std::size_t count) {
  LogLines lines;
  for (std::size_t i = 0; i < count; ++i) {
    if ((data[i].flags & kDoneByLibpmix) != 0) continue;
    if (Is(data[i], PMIX_LOG_SYSLOG) || Is(data[i], PMIX_LOG_LOCAL_SYSLOG)) continue;
    bool to_stderr = Is(data[i], PMIX_LOG_STDERR);
    bool text = data[i].value.type == PMIX_STRING && data[i].value.data.string != nullptr;
    if (!text || (!to_stderr && !Is(data[i], PMIX_LOG_STDOUT)) ||
        ::strnlen(data[i].value.data.string, kLogBytesMax + 1) > kLogBytesMax) {
      lines.refused = true;
      continue;
    }
    lines.said.emplace_back(to_stderr, data[i].value.data.string);
  }
  return lines;
}

pmix_status_t Say(const std::optional<PmixPeer>& who, const LogLines& lines) {
  bool all = true;
  for (const auto& [to_stderr, text] : lines.said) all = Target()->callbacks.say(who, to_stderr, text) && all;
  if (!all) return PMIX_ERR_RESOURCE_BUSY;
  if (!lines.refused) return PMIX_SUCCESS;
  return lines.said.empty() ? PMIX_ERR_NOT_SUPPORTED : PMIX_ERR_PARTIAL_SUCCESS;
}

// 0: nothing that is offered, or more than one thing.
std::int32_t SignalIn(const pmix_info_t directives[], std::size_t count) {
  std::int32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const pmix_info_t& info = directives[i];
    std::int32_t number = 0;
    if (Is(info, PMIX_JOB_CTRL_ID) || Is(info, PMIX_REGISTER_CLEANUP) ||
        Is(info, PMIX_REGISTER_CLEANUP_DIR) || Is(info, PMIX_CLEANUP_RECURSIVE) ||
        Is(info, PMIX_CLEANUP_IGNORE) || Is(info, PMIX_CLEANUP_LEAVE_TOPDIR))
      continue;  // a name for the request; or libpmix has done with it
    if (Is(info, PMIX_JOB_CTRL_KILL)) number = SIGKILL;
    if (Is(info, PMIX_JOB_CTRL_TERMINATE)) number = SIGTERM;
    if (Is(info, PMIX_JOB_CTRL_PAUSE)) number = SIGSTOP;
    if (Is(info, PMIX_JOB_CTRL_RESUME)) number = SIGCONT;
    if (number != 0 && !TrueIn(&info, 1, info.key)) continue;
    if (Is(info, PMIX_JOB_CTRL_SIGNAL)) {
      std::int64_t asked = NumberIn(&info, 1, info.key, 0);
      if (asked >= 1 && asked <= 64) number = static_cast<std::int32_t>(asked);
    }
    if (number == 0 || found != 0) return 0;
    found = number;
  }
  return found;
}

pmix_status_t StatusOf(const Result<std::string>& done) {
  auto signalled = done ? Decode<std::uint64_t>(*done, "number of ranks") : Failure(done.error());
  if (!signalled) return PMIX_ERROR;
  return *signalled > 0 ? PMIX_SUCCESS : PMIX_ERR_NOT_FOUND;
}

}  // namespace

// An answer within the upcall would wait for a lock that libpmix's own thread holds, and with it the server.
void OnLog(const pmix_proc_t* who, const pmix_info_t data[], size_t count, const pmix_info_t[], size_t,
           pmix_op_cbfunc_t answer, void* context) {
  std::optional<PmixPeer> peer;
  if (who != nullptr && Target()->places.NodeOf(*who)) peer = {.nspace = who->nspace, .rank = who->rank};
  Target()->loop->Post([peer, lines = LinesOf(data, count), answer, context] {
    pmix_status_t status = Say(peer, lines);
    if (answer != nullptr) answer(status, context);
  });
}

// libpmix serves clean-up requests by itself before it asks, but only where there is somebody to be asked.
pmix_status_t OnJobControl(const pmix_proc_t* who, const pmix_proc_t targets[], size_t target_count,
                           const pmix_info_t directives[], size_t count, pmix_info_cbfunc_t answer,
                           void* context) {
  SignalRequest request{.signal_number = SignalIn(directives, count)};
  if (request.signal_number == 0) return PMIX_ERR_NOT_SUPPORTED;
  if (target_count == 0) request.ranks.push_back({who->nspace, kAllRanks});
  for (std::size_t i = 0; i < target_count; ++i) {
    pmix_proc_t first = targets[i];
    bool all = first.rank == PMIX_RANK_WILDCARD;
    if (all) first.rank = 0;
    auto node = Target()->places.NodeOf(first);
    if (!node) return PMIX_ERR_NOT_FOUND;
    if (*node == Places::kForeign) return PMIX_ERR_NOT_SUPPORTED;
    request.ranks.push_back({first.nspace, all ? kAllRanks : first.rank});
  }
  Target()->loop->Post([request = std::move(request), answer, context] {
    Target()->callbacks.signal(request, [answer, context](const Result<std::string>& done) {
      if (answer != nullptr) answer(StatusOf(done), nullptr, 0, context, nullptr, nullptr);
    });
  });
  return PMIX_SUCCESS;
}

}  // namespace slipway
