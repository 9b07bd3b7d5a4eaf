// SPDX-License-Identifier: Apache-2.0
// A hostile rank's bytes on libpmix's connection, cut at any place: the tap must find the same fences however
// they are cut, and keep little.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>

#include "base/result/result.h"
#include "pmix/server/fence_tap.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  FuzzedDataProvider input(data, size);
  std::size_t cut = input.ConsumeIntegralInRange<std::size_t>(1, 64);
  std::string bytes = input.ConsumeRemainingBytesAsString();
  RequestStream whole, pieces;
  auto wanted = whole.Feed(bytes);
  std::vector<RequestStream::Fence> got;
  for (std::size_t at = 0; at < bytes.size(); at += cut) {
    for (auto& fence : pieces.Feed(std::string_view(bytes).substr(at, cut))) got.push_back(std::move(fence));
  }
  CHECK(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].tag == wanted[i].tag && got[i].ranks.size() == wanted[i].ranks.size());
    CHECK(got[i].ranks.size() <= kFenceRequestBytesMax);
  }
  return 0;
}
