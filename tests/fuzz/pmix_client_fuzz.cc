// SPDX-License-Identifier: Apache-2.0
// A hostile rank's bytes on libpmix's connection, cut at any place: the same requests must be found however
// they are cut, and little be kept.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>

#include "base/result/result.h"
#include "pmix/server/client_requests.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  FuzzedDataProvider input(data, size);
  std::size_t cut = input.ConsumeIntegralInRange<std::size_t>(1, 64);
  std::string bytes = input.ConsumeRemainingBytesAsString();
  RequestStream whole, pieces;
  auto wanted = whole.Feed(bytes);
  std::vector<RequestStream::Request> got;
  for (std::size_t at = 0; at < bytes.size(); at += cut) {
    for (auto& request : pieces.Feed(std::string_view(bytes).substr(at, cut)))
      got.push_back(std::move(request));
  }
  CHECK(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].tag == wanted[i].tag && got[i].head.size() <= kRequestHeadBytesMax);
    auto ranks = FenceRanksOf(got[i].head);
    CHECK(!ranks || ranks->size() <= got[i].head.size());
    if (auto members = GroupMembersOf(got[i].head)) {
      CHECK(members->size() <= got[i].head.size());
      (void)WithGroupMembers(bytes.substr(0, kPmixHeaderBytes), got[i].head, *members);
    }
  }
  (void)ReleaseIn(bytes);
  PutGroupMembersLast(bytes.data(), bytes.size());
  (void)ReleaseOfGreeting(bytes);
  return 0;
}
