// SPDX-License-Identifier: Apache-2.0
// PMI-1's commands.
#include "base/text/units.h"
#include "pmix/pmi/pmi_server.h"
#include "pmix/pmi/spawn_words.h"

namespace slipway {
namespace {

// Together with the words around them a put of these fits the clients' lines of 1,024 bytes.
constexpr int kNameMax = 256, kKeyMax = 64, kValueMax = 600;

std::string WithoutSpaces(std::string text) {  // a line's values end at the first one
  for (char& c : text) {
    if (c == ' ' || c == '\n') c = '_';
  }
  return text;
}

PmiReply Reply(const char* command) { return {PmiVersion::k1, command}; }

}  // namespace

bool PmiServer::Handle1(std::uint32_t rank, Session& session, const PmiRequest& request) {
  const std::string& command = request.command;
  if (command == "get_maxes") {
    Answer(rank, std::move(Reply("maxes")
                               .Add("rc", 0)
                               .Add("kvsname_max", kNameMax)
                               .Add("keylen_max", kKeyMax)
                               .Add("vallen_max", kValueMax)));
  } else if (command == "get_appnum") {
    Answer(rank,
           std::move(Reply("appnum").Add("rc", 0).Add("appnum", static_cast<std::int64_t>(ProgramOf(rank)))));
  } else if (command == "get_universe_size") {
    Answer(rank, std::move(Reply("universe_size").Add("rc", 0).Add("size", world_.universe_size)));
  } else if (command == "get_my_kvsname") {
    Answer(rank, std::move(Reply("my_kvsname").Add("rc", 0).Add("kvsname", world_.name)));
  } else if (command == "put") {
    auto put = Put(session, request.Get("key"), request.Get("value"));
    Answer(
        rank,
        std::move(
            Reply("put_result").Add("rc", put ? 0 : -1).Add("msg", put ? "success" : put.error().message)));
  } else if (command == "get") {
    const std::string* value = Look(request.Get("key"));
    PmiReply reply = Reply("get_result");
    reply.Add("rc", value != nullptr ? 0 : -1).Add("msg", value != nullptr ? "success" : "key_not_found");
    Answer(rank, std::move(reply.Add("value", value != nullptr ? *value : "unknown")));
  } else if (command == "barrier_in") {
    std::string group = request.Get("group");
    EnterFence(rank, group == "WORLD" ? "" : group, {});
  } else if (command == "finalize") {
    session.finalized = true;
    Answer(rank, std::move(Reply("finalize_ack").Add("rc", 0)));
    callbacks_.finalized(rank);
  } else if (command == "abort") {
    auto code = ParseNumber(request.Get("exitcode"), 0, 255);
    callbacks_.aborted(rank, static_cast<std::int32_t>(code.value_or(1)),
                       request.Get("message").substr(0, 200));
  } else if (command == "publish_name") {
    Name1(rank, request, NameRequest::kPublish, "publish_result");
  } else if (command == "unpublish_name") {
    Name1(rank, request, NameRequest::kUnpublish, "unpublish_result");
  } else if (command == "lookup_name") {
    Name1(rank, request, NameRequest::kLookup, "lookup_result");
  } else if (command == "spawn") {
    Spawn1(rank, session, request);
  } else {
    return false;
  }
  return true;
}

// One command for each program, one answer.
void PmiServer::Spawn1(std::uint32_t rank, Session& session, const PmiRequest& request) {
  if (auto added = AddPmi1Program(request, session.spawn); !added)
    return Break(rank, Cat("PMI spawn: ", added.error().message));
  if (!IsLastOfPmi1(request)) return;
  SpawnRequest spawn = std::exchange(session.spawn, {});
  spawn.parent = world_.name;
  spawn.parent_rank = rank;
  callbacks_.spawn(std::move(spawn), [this, rank](Result<std::string> world) {
    PmiReply reply = Reply("spawn_result");
    reply.Add("rc", world ? 0 : -1);
    if (!world) reply.Add("msg", WithoutSpaces(world.error().message).substr(0, 400));
    Answer(rank, std::move(reply));
  });
}

void PmiServer::Name1(std::uint32_t rank, const PmiRequest& request, NameRequest::Kind kind,
                      const char* answer) {
  NameRequest name{.kind = kind, .key = request.Get("service"), .value = request.Get("port")};
  name.world = world_.name;
  name.publisher = rank;
  callbacks_.name(std::move(name), [this, rank, kind, answer](Result<std::string> value) {
    PmiReply reply = Reply(answer);
    reply.Add("info", value ? "ok" : "failed").Add("rc", value ? 0 : 1);
    reply.Add("msg", value ? "success" : WithoutSpaces(value.error().message));
    if (value && kind == NameRequest::kLookup) reply.Add("port", *value);
    Answer(rank, std::move(reply));
  });
}

}  // namespace slipway
