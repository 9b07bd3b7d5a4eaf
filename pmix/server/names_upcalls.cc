// SPDX-License-Identifier: Apache-2.0
// PMIx's publish, lookup and unpublish, over the step's directory of names: one request for each key, one
// answer when all are there. A value travels with its publisher, for lookup says who it was.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {
namespace {

struct Published {
  std::string nspace;
  std::uint32_t rank = 0;
  PackedInfos value;
};
void Fields(auto& archive, IsA<Published> auto& v) { archive(v.nspace, v.rank, v.value); }

std::atomic<std::uint64_t> g_lookups;

pmix_status_t StatusOf(const Error& error) {
  switch (error.code) {
    case Code::kAlreadyExists:
      return PMIX_ERR_DUPLICATE_KEY;
    case Code::kResourceExhausted:
      return PMIX_ERR_OUT_OF_RESOURCE;
    case Code::kUnavailable:
      return PMIX_ERR_LOST_CONNECTION;
    case Code::kDeadlineExceeded:
      return PMIX_ERR_TIMEOUT;
    default:
      return PMIX_ERR_NOT_FOUND;
  }
}

NameRange RangeOf(std::int64_t range) {
  switch (range) {
    case PMIX_RANGE_LOCAL:
      return NameRange::kNode;
    case PMIX_RANGE_NAMESPACE:
      return NameRange::kWorld;
    case PMIX_RANGE_PROC_LOCAL:
      return NameRange::kRank;
    default:
      return NameRange::kStep;
  }
}

NameLife LifeOf(std::int64_t persistence) {
  switch (persistence) {
    case PMIX_PERSIST_FIRST_READ:
      return NameLife::kFirstRead;
    case PMIX_PERSIST_PROC:
      return NameLife::kRank;
    case PMIX_PERSIST_APP:
      return NameLife::kWorld;
    default:
      return NameLife::kStep;
  }
}

bool IsDirective(const pmix_info_t& info) { return std::strncmp(info.key, "pmix.", 5) == 0; }

NameRequest RequestBy(const pmix_proc_t* proc, NameRequest::Kind kind, const char* key) {
  NameRequest request{.kind = kind, .key = Cat("pmix:", key)};
  request.world = proc->nspace;
  request.publisher = proc->rank;
  return request;
}

// Several requests, one answer: the first error.
struct AllDone {
  std::size_t left;
  pmix_status_t status = PMIX_SUCCESS;
  pmix_op_cbfunc_t answer;
  void* context;
  void One(const Result<std::string>& done) {
    if (!done && status == PMIX_SUCCESS) status = StatusOf(done.error());
    if (--left == 0) answer(status, context);
  }
};

pmix_status_t Request(std::vector<NameRequest> requests, pmix_op_cbfunc_t answer, void* context) {
  if (requests.empty()) return PMIX_ERR_BAD_PARAM;
  auto all =
      std::make_shared<AllDone>(AllDone{.left = requests.size(), .answer = answer, .context = context});
  Target()->loop->Post([requests = std::move(requests), all] {
    for (const NameRequest& request : requests)
      Target()->callbacks.name(request, [all](Result<std::string> done) { all->One(done); });
  });
  return PMIX_SUCCESS;
}

// The keys of one lookup; what has been found, and when that is enough.
struct Looking {
  std::vector<std::string> keys;
  std::vector<std::optional<std::string>> found;
  std::size_t left = 0;
  bool answered = false;
  pmix_status_t failure = PMIX_ERR_NOT_FOUND;
  pmix_lookup_cbfunc_t answer;
  void* context;
  Loop::TimerId timer;

  void Answer() {
    if (answered) return;
    answered = true;
    Target()->loop->Cancel(timer);
    std::vector<pmix_pdata_t> values;
    std::vector<InfoArray> owners;  // of what the values hold
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto published = found[i] ? Decode<Published>(*found[i], "published value")
                                : Result<Published>(Fail(Code::kNotFound, ""));
      auto infos = published ? Unpack(published->value) : Result<InfoArray>(Failure(published.error()));
      if (!infos || infos->size() != 1) continue;
      values.emplace_back();
      std::memset(&values.back(), 0, sizeof(pmix_pdata_t));
      std::strncpy(values.back().proc.nspace, published->nspace.c_str(), PMIX_MAX_NSLEN);
      values.back().proc.rank = published->rank;
      std::strncpy(values.back().key, keys[i].c_str(), PMIX_MAX_KEYLEN);
      values.back().value = infos->data()[0].value;
      owners.push_back(std::move(*infos));
    }
    // Some of them is no error: who asked sees which.
    pmix_status_t status = values.empty() ? failure : PMIX_SUCCESS;
    answer(status, values.empty() ? nullptr : values.data(), values.size(), context);
  }
};

void StartLooking(const std::shared_ptr<Looking>& looking, const std::vector<NameRequest>& requests,
                  std::int64_t timeout_s) {
  if (timeout_s > 0) {
    looking->timer = Target()->loop->After(std::chrono::seconds(timeout_s), [looking, requests] {
      looking->failure = PMIX_ERR_TIMEOUT;
      looking->Answer();
      // A name that comes later is not for us, and may be there to be read only once.
      for (NameRequest request : requests) {
        request.kind = NameRequest::kGiveUp;
        Target()->callbacks.name(std::move(request), [](Result<std::string>) {});
      }
    });
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Target()->callbacks.name(requests[i], [looking, i](Result<std::string> value) {
      if (value) looking->found[i] = std::move(*value);
      if (!value && value.error().code != Code::kNotFound) looking->failure = StatusOf(value.error());
      if (--looking->left == 0) looking->Answer();
    });
  }
}

}  // namespace

pmix_status_t OnPublish(const pmix_proc_t* proc, const pmix_info_t infos[], size_t count,
                        pmix_op_cbfunc_t answer, void* context) {
  std::vector<NameRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    if (IsDirective(infos[i])) continue;
    auto packed = Pack(&infos[i], 1);
    if (!packed) return PMIX_ERR_PACK_FAILURE;
    NameRequest request = RequestBy(proc, NameRequest::kPublish, infos[i].key);
    request.value = Encode(Published{proc->nspace, proc->rank, std::move(*packed)});
    request.range = RangeOf(NumberIn(infos, count, PMIX_RANGE, PMIX_RANGE_SESSION));
    request.life = LifeOf(NumberIn(infos, count, PMIX_PERSISTENCE, PMIX_PERSIST_APP));
    requests.push_back(std::move(request));
  }
  return Request(std::move(requests), answer, context);
}

pmix_status_t OnLookup(const pmix_proc_t* proc, char** keys, const pmix_info_t infos[], size_t count,
                       pmix_lookup_cbfunc_t answer, void* context) {
  auto looking = std::make_shared<Looking>();
  std::vector<NameRequest> requests;
  for (char** key = keys; key != nullptr && *key != nullptr; ++key) {
    looking->keys.emplace_back(*key);
    requests.push_back(RequestBy(proc, NameRequest::kLookup, *key));
    requests.back().wait = FindInfo(infos, count, PMIX_WAIT) != nullptr;
    requests.back().lookup = g_lookups.fetch_add(1) + 1;
  }
  if (requests.empty()) return PMIX_ERR_BAD_PARAM;
  looking->found.resize(requests.size());
  looking->left = requests.size();
  looking->answer = answer;
  looking->context = context;
  std::int64_t timeout_s = NumberIn(infos, count, PMIX_TIMEOUT, 0);
  Target()->loop->Post(
      [looking, requests = std::move(requests), timeout_s] { StartLooking(looking, requests, timeout_s); });
  return PMIX_SUCCESS;
}

pmix_status_t OnUnpublish(const pmix_proc_t* proc, char** keys, const pmix_info_t[], size_t,
                          pmix_op_cbfunc_t answer, void* context) {
  std::vector<NameRequest> requests;
  for (char** key = keys; key != nullptr && *key != nullptr; ++key)
    requests.push_back(RequestBy(proc, NameRequest::kUnpublish, *key));
  if (requests.empty()) {  // all that it has published
    requests.push_back(RequestBy(proc, NameRequest::kUnpublish, ""));
    requests.back().key.clear();
  }
  return Request(std::move(requests), answer, context);
}

}  // namespace slipway
