// SPDX-License-Identifier: Apache-2.0
// PMIx's collectives besides the fence: connect and disconnect are fences that say so, a group is a fence
// whose answer has a number that no other group of the step has, and what its members want to tell one
// another.
#include <cstring>
#include <memory>

#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {
namespace {

// What one node brings to the making of a group.
struct GroupPart {
  std::uint64_t context_id = 0;  // 0: not the one who asked for it
  std::string endpoints;
};
void Fields(auto& archive, IsA<GroupPart> auto& v) { archive(v.context_id, v.endpoints); }

pmix_status_t StatusOf(const Result<std::string>& done) {
  if (done) return PMIX_SUCCESS;
  return done.error().code == Code::kUnavailable ? PMIX_ERR_LOST_CONNECTION : PMIX_ERROR;
}

pmix_status_t MeetAll(const char* what, const pmix_proc_t procs[], size_t count, pmix_op_cbfunc_t answer,
                      void* context) {
  auto who = Target()->places.ParticipantsOf(procs, count);
  if (!who) return PMIX_ERR_NOT_SUPPORTED;
  Target()->loop->Post([what, who = std::move(*who), answer, context] {
    Participants named = who;
    named.members = Cat(what, who.members);
    Target()->callbacks.fence(std::move(named), {},
                              [answer, context](Result<std::string> all) { answer(StatusOf(all), context); });
  });
  return PMIX_SUCCESS;
}

struct GroupAnswer {
  pmix_info_cbfunc_t answer;
  void* context;
  bool wants_id = false;
};

void AnswerGroup(const GroupAnswer& to, const Result<std::string>& all) {
  if (!all) return to.answer(StatusOf(all), nullptr, 0, to.context, nullptr, nullptr);
  std::size_t context_id = 0;
  std::string endpoints;
  for (const std::string& text : PartsOf(*all)) {
    auto part = Decode<GroupPart>(text, "group");
    if (!part) continue;
    if (part->context_id != 0) context_id = part->context_id;
    endpoints += part->endpoints;
  }
  if (to.wants_id && context_id == 0)  // who gives the numbers is gone
    return to.answer(PMIX_ERR_LOST_CONNECTION, nullptr, 0, to.context, nullptr, nullptr);
  auto* infos = new InfoArray;
  if (to.wants_id) infos->Add(PMIX_GROUP_CONTEXT_ID, &context_id, PMIX_SIZE);
  if (!endpoints.empty()) {
    pmix_byte_object_t object{.bytes = endpoints.data(), .size = endpoints.size()};
    infos->Add(PMIX_GROUP_ENDPT_DATA, &object, PMIX_BYTE_OBJECT);
  }
  to.answer(
      PMIX_SUCCESS, infos->data(), infos->size(), to.context,
      [](void* kept) { delete static_cast<InfoArray*>(kept); }, infos);
}

}  // namespace

pmix_status_t OnConnectAll(const pmix_proc_t procs[], size_t count, const pmix_info_t[], size_t,
                           pmix_op_cbfunc_t answer, void* context) {
  return MeetAll("connect:", procs, count, answer, context);
}

pmix_status_t OnDisconnectAll(const pmix_proc_t procs[], size_t count, const pmix_info_t[], size_t,
                              pmix_op_cbfunc_t answer, void* context) {
  return MeetAll("disconnect:", procs, count, answer, context);
}

pmix_status_t OnGroup(pmix_group_operation_t operation, char* name, const pmix_proc_t procs[], size_t count,
                      const pmix_info_t infos[], size_t info_count, pmix_info_cbfunc_t answer,
                      void* context) {
  auto who = Target()->places.ParticipantsOf(procs, count);
  if (!who || name == nullptr) return PMIX_ERR_NOT_SUPPORTED;
  bool construct = operation == PMIX_GROUP_CONSTRUCT;
  GroupAnswer to{.answer = answer,
                 .context = context,
                 .wants_id = construct && TrueIn(infos, info_count, PMIX_GROUP_ASSIGN_CONTEXT_ID)};
  GroupPart part;
  const pmix_info_t* endpoints = FindInfo(infos, info_count, PMIX_GROUP_ENDPT_DATA);
  if (endpoints != nullptr && endpoints->value.type == PMIX_BYTE_OBJECT)
    part.endpoints.assign(endpoints->value.data.bo.bytes, endpoints->value.data.bo.size);
  who->members = Cat(construct ? "group:" : "ungroup:", name, ":", who->members);
  // The first of its nodes fetches the number for all.
  bool fetches = to.wants_id && who->nodes.front() == Target()->places.here();
  bool of_job = !who->worlds.empty();
  Target()->loop->Post([to, part, who = std::move(*who), fetches, of_job]() mutable {
    auto meet = [to, who = std::move(who)](const GroupPart& mine) {
      Target()->callbacks.fence(who, AsPart(Encode(mine)),
                                [to](Result<std::string> all) { AnswerGroup(to, all); });
    };
    if (!fetches) return meet(part);
    Target()->callbacks.number(of_job, [meet, part](std::uint64_t number) mutable {
      part.context_id = number;
      meet(part);
    });
  });
  return PMIX_SUCCESS;
}

}  // namespace slipway
