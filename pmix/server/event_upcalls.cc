// SPDX-License-Identifier: Apache-2.0
// Events that one rank raises and others, perhaps on other nodes, have registered for; and what may be asked
// of the host. libpmix keeps the registrations of its own clients, so each node is told everything and
// delivers it.
#include <cstring>

#include "base/text/text.h"
#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {
namespace {

struct EventWord {
  std::int32_t code = 0;
  std::string nspace;
  std::uint32_t rank = 0;
  std::uint8_t range = 0;
  PackedInfos infos;
};
void Fields(auto& archive, IsA<EventWord> auto& v) { archive(v.code, v.nspace, v.rank, v.range, v.infos); }

}  // namespace

pmix_status_t OnRegisterEvents(pmix_status_t*, size_t, const pmix_info_t[], size_t, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t OnDeregisterEvents(pmix_status_t*, size_t, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t OnNotifyEvent(pmix_status_t code, const pmix_proc_t* source, pmix_data_range_t range,
                            pmix_info_t infos[], size_t count, pmix_op_cbfunc_t, void*) {
  if (range == PMIX_RANGE_LOCAL || range == PMIX_RANGE_PROC_LOCAL) return PMIX_OPERATION_SUCCEEDED;
  if (source == nullptr || !Target()->places.Knows(source->nspace)) return PMIX_OPERATION_SUCCEEDED;
  auto packed = Pack(infos, count);
  if (!packed) return PMIX_ERR_PACK_FAILURE;
  std::string word = Encode(EventWord{code, source->nspace, source->rank, range, std::move(*packed)});
  Target()->loop->Post([word = std::move(word)] { Target()->callbacks.event(word); });
  return PMIX_OPERATION_SUCCEEDED;
}

// Only for those who registered for just this: Open MPI's handler for everything else ends the whole job.
Result<std::string> EventOfEnd(const pmix_proc_t& proc, RankEnd end) {
  pmix_status_t code = end == RankEnd::kBySignal  ? PMIX_ERR_PROC_ABORTED_BY_SIG
                       : end == RankEnd::kByError ? PMIX_ERR_PROC_ABORTED
                                                  : PMIX_ERR_PROC_TERM_WO_SYNC;
  InfoArray infos;
  infos.Add(PMIX_EVENT_AFFECTED_PROC, &proc, PMIX_PROC);
  infos.True(PMIX_EVENT_NON_DEFAULT);
  PackedInfos packed = TRY(Pack(infos.data(), infos.size()));
  return Encode(EventWord{code, proc.nspace, proc.rank, PMIX_RANGE_SESSION, std::move(packed)});
}

Result<> DeliverEvent(std::string_view word) {
  auto event = TRY(Decode<EventWord>(word, "event"));
  InfoArray infos = TRY(Unpack(event.infos));
  pmix_proc_t source{};
  std::strncpy(source.nspace, event.nspace.c_str(), PMIX_MAX_NSLEN);
  source.rank = event.rank;
  // Blocking: the values need not outlive the call.
  pmix_status_t status =
      PMIx_Notify_event(event.code, &source, event.range, infos.data(), infos.size(), nullptr, nullptr);
  if (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED) return {};
  return Fail(Code::kInternal, "PMIx_Notify_event: ", PMIx_Error_string(status));
}

pmix_status_t OnQuery(pmix_proc_t*, pmix_query_t* queries, size_t count, pmix_info_cbfunc_t answer,
                      void* context) {
  auto infos = std::make_unique<InfoArray>();
  std::size_t asked = 0;
  for (std::size_t i = 0; i < count; ++i) {
    for (char** key = queries[i].keys; key != nullptr && *key != nullptr; ++key, ++asked) {
      if (std::strcmp(*key, PMIX_QUERY_NAMESPACES) == 0)
        infos->Text(*key, Join(Target()->places.Names(), ","));
      if (std::strcmp(*key, PMIX_QUERY_PSET_NAMES) == 0) infos->Text(*key, "");
      std::size_t none = 0;
      if (std::strcmp(*key, PMIX_QUERY_NUM_PSETS) == 0) infos->Add(*key, &none, PMIX_SIZE);
    }
  }
  if (infos->size() == 0) return PMIX_ERR_NOT_SUPPORTED;
  pmix_status_t status = infos->size() == asked ? PMIX_SUCCESS : PMIX_QUERY_PARTIAL_SUCCESS;
  Target()->loop->Post([status, infos = infos.release(), answer, context] {
    answer(
        status, infos->data(), infos->size(), context,
        [](void* kept) { delete static_cast<InfoArray*>(kept); }, infos);
  });
  return PMIX_SUCCESS;
}

}  // namespace slipway
