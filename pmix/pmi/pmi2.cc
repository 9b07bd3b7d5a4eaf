// SPDX-License-Identifier: Apache-2.0
// PMI-2's commands.
#include "base/text/units.h"
#include "pmix/pmi/pmi_server.h"
#include "pmix/pmi/spawn_words.h"

namespace slipway {
namespace {

constexpr std::size_t kWaitersMax = 4096;
constexpr char kNoConnect[] = "MPI_Comm_connect is not offered over PMI: use an MPI with PMIx";

PmiReply Ended(PmiReply reply, const Result<>& done) {
  if (!done) reply.Add("errmsg", done.error().message);
  return std::move(reply.Add("rc", done ? 0 : 1));
}

PmiReply Found(PmiReply reply, const std::string* value) {
  reply.Add("found", value != nullptr ? "TRUE" : "FALSE");
  if (value != nullptr) reply.Add("value", *value);
  return std::move(reply.Add("rc", 0));
}

}  // namespace

// A client with threads tells its requests apart by the number that comes back.
PmiReply PmiServer::Reply2(std::string_view command, const PmiRequest& request) const {
  PmiReply reply(PmiVersion::k2, command);
  if (const std::string* thread = request.Find("thrid")) reply.Add("thrid", *thread);
  return reply;
}

bool PmiServer::Handle2(std::uint32_t rank, Session& session, const PmiRequest& request) {
  const std::string& command = request.command;
  if (command == "fullinit") {
    PmiReply reply = Reply2("fullinit-response", request);
    reply.Add("pmi-version", 2).Add("pmi-subversion", 0).Add("rank", rank).Add("size", size_);
    if (!world_.parent.empty()) reply.Add("spawner-jobid", world_.parent);
    Answer(rank, std::move(reply.Add("appnum", static_cast<std::int64_t>(ProgramOf(rank)))
                               .Add("debugged", "FALSE")
                               .Add("pmiverbose", "FALSE")
                               .Add("rc", 0)));
  } else if (command == "job-getid") {
    Answer(rank, std::move(Reply2("job-getid-response", request).Add("jobid", world_.name).Add("rc", 0)));
  } else if (command == "kvs-put") {
    auto put = Put(session, request.Get("key"), request.Get("value"));
    Answer(rank, Ended(Reply2("kvs-put-response", request), put));
  } else if (command == "kvs-get") {
    Answer(rank, Found(Reply2("kvs-get-response", request), Look(request.Get("key"))));
  } else if (command == "kvs-fence") {
    EnterFence(rank, {}, request.Get("thrid"));
  } else if (command == "finalize") {
    session.finalized = true;
    Answer(rank, std::move(Reply2("finalize-response", request).Add("rc", 0)));
    callbacks_.finalized(rank);
  } else if (command == "abort") {
    auto code = ParseNumber(request.Get("exitcode"), 0, 255);
    callbacks_.aborted(rank, static_cast<std::int32_t>(code.value_or(1)), request.Get("msg").substr(0, 200));
  } else if (command == "name-publish") {
    Name2(rank, request, NameRequest::kPublish, "name-publish-response");
  } else if (command == "name-unpublish") {
    Name2(rank, request, NameRequest::kUnpublish, "name-unpublish-response");
  } else if (command == "name-lookup") {
    Name2(rank, request, NameRequest::kLookup, "name-lookup-response");
  } else if (command == "spawn") {
    Spawn2(rank, request);
  } else if (command == "job-connect" || command == "job-disconnect") {
    Answer(rank, Ended(Reply2(command + "-response", request), Fail(Code::kUnimplemented, kNoConnect)));
  } else {
    return HandleInfo2(rank, request);
  }
  return true;
}

bool PmiServer::HandleInfo2(std::uint32_t rank, const PmiRequest& request) {
  std::string key = request.Get("key");
  if (request.command == "info-getjobattr") {
    std::string universe = std::to_string(world_.universe_size);
    const std::string* value = key == "universeSize" ? &universe : Look(key);
    Answer(rank, Found(Reply2("info-getjobattr-response", request), value));
    return true;
  }
  if (request.command == "info-putnodeattr") {
    std::string value = request.Get("value");
    bool fits = !key.empty() && key.size() <= kPmiKeyBytesMax && value.size() <= kPmiValueBytesMax &&
                node_attributes_.size() < kWaitersMax;
    if (fits) PutNodeAttribute(key, value);
    Answer(rank, Ended(Reply2("info-putnodeattr-response", request),
                       fits ? Result<>{} : Fail(Code::kInvalidArgument, "key or value is too long")));
    return true;
  }
  if (request.command != "info-getnodeattr") return false;
  auto at = node_attributes_.find(key);
  bool wait = request.Get("wait") == "TRUE" && attribute_waiters_.size() < kWaitersMax;
  if (at == node_attributes_.end() && wait) {
    attribute_waiters_.push_back({rank, request.Get("thrid"), key});
    return true;
  }
  Answer(rank, Found(Reply2("info-getnodeattr-response", request),
                     at == node_attributes_.end() ? nullptr : &at->second));
  return true;
}

void PmiServer::Spawn2(std::uint32_t rank, const PmiRequest& request) {
  PmiReply reply = Reply2("spawn-response", request);
  auto spawn = SpawnOfPmi2(request);
  if (!spawn) return Answer(rank, Ended(std::move(reply), Failure(spawn.error())));
  spawn->parent = world_.name;
  spawn->parent_rank = rank;
  callbacks_.spawn(std::move(*spawn), [this, rank, reply](Result<std::string> world) mutable {
    if (world) reply.Add("jobid", *world).Add("nerrs", 0);
    Answer(rank, Ended(std::move(reply), world ? Result<>{} : Failure(world.error())));
  });
}

void PmiServer::Name2(std::uint32_t rank, const PmiRequest& request, NameRequest::Kind kind,
                      const char* answer) {
  NameRequest name{.kind = kind, .key = request.Get("name"), .value = request.Get("port")};
  name.world = world_.name;
  name.publisher = rank;
  PmiReply reply = Reply2(answer, request);
  callbacks_.name(std::move(name), [this, rank, kind, reply](Result<std::string> value) mutable {
    if (value && kind == NameRequest::kLookup) reply.Add("value", *value).Add("port", *value);
    if (!value) reply.Add("errmsg", value.error().message);
    Answer(rank, std::move(reply.Add("rc", value ? 0 : 1)));
  });
}

}  // namespace slipway
