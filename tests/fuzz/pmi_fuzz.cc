// SPDX-License-Identifier: Apache-2.0
// What a rank writes into its PMI socket, and what another node's stepd adds to a fence.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>

#include "pmix/pmi/pmi_server.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  FuzzedDataProvider input(data, size);
  NameDirectory names;
  std::vector<Exchange::Reply> fences;
  PmiCallbacks callbacks{
      .send = [](std::uint32_t rank, std::string bytes) { CHECK(rank < 2 && !bytes.empty()); },
      .connected = [](std::uint32_t rank) { CHECK(rank < 2); },
      .finalized = [](std::uint32_t rank) { CHECK(rank < 2); },
      .aborted = [](std::uint32_t rank, std::int32_t status,
                    std::string) { CHECK(rank < 2 && status < 256); },
      .fence = [&](std::string, std::vector<std::uint32_t>, std::string,
                   Exchange::Reply reply) { fences.push_back(std::move(reply)); },
      .name = [&](NameRequest request,
                  Exchange::Reply reply) { names.Handle(std::move(request), std::move(reply)); },
      .spawn =
          [](SpawnRequest request, Exchange::Reply reply) {
            CHECK(request.programs.size() <= kSpawnProgramsMax);
            reply(std::string("w.1"));
          },
      .begun = [](std::uint64_t) {},
      .left = [](std::uint32_t rank) { CHECK(rank < 2); },
      .broken = [](std::uint32_t rank, std::string) { CHECK(rank < 2); },
  };
  PmiServer server({.name = "w", .ranks = {{0, 1}, {2}}, .universe_size = 3}, std::move(callbacks));
  int version = input.ConsumeIntegralInRange<int>(1, 2);
  for (std::uint32_t rank : {0, 1})
    server.Receive(rank, Cat("cmd=init pmi_version=", version, " pmi_subversion=0\n"));
  while (input.remaining_bytes() > 0) {
    std::uint32_t rank = input.ConsumeIntegralInRange<std::uint32_t>(0, 3);
    switch (input.ConsumeIntegralInRange<int>(0, 4)) {
      case 0:
        server.Receive(rank, input.ConsumeRandomLengthString(300));
        break;
      case 1:
      case 2: {
        std::string command = "cmd=" + input.ConsumeRandomLengthString(80);
        std::string length = std::to_string(command.size());
        server.Receive(
            rank, version == 1 ? command + "\n" : std::string(6 - length.size(), ' ') + length + command);
        break;
      }
      case 3:
        if (fences.empty()) break;
        {
          Exchange::Reply reply = std::move(fences.back());
          fences.pop_back();
          reply(input.ConsumeRandomLengthString(200));
        }
        break;
      default:
        if (input.ConsumeIntegralInRange<int>(0, 20) == 0) server.Gone(rank);
    }
    (void)server.FenceWaitsFor();
  }
  return 0;
}
