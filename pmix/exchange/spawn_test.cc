// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/spawn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Ranks = std::vector<std::vector<std::uint32_t>>;

SpawnRequest Of(std::uint32_t count) {
  return {.parent = "w", .programs = {{.argv = {"child"}, .count = count}}};
}
SpawnLedger TwoNodes() {
  return {"s", {{.name = "a", .slots = 4, .used = 2}, {.name = "b", .slots = 4, .used = 1}}};
}

TEST(Spawn, FillsFreeSlotsNodeByNodeOrInTurn) {
  SpawnLedger ledger = TwoNodes();
  auto world = ledger.Place(Of(3));
  ASSERT_TRUE(world);
  EXPECT_EQ(world->ranks, (Ranks{{0, 1}, {2}}));
  EXPECT_EQ(world->name, "s.1");
  SpawnRequest in_turn = Of(4);
  in_turn.by_node = true;
  EXPECT_EQ(TwoNodes().Place(in_turn)->ranks, (Ranks{{0, 2}, {1, 3}}));
}

TEST(Spawn, IsRefusedWhereThereIsNoRoomAndSaysWhatToChange) {
  SpawnLedger ledger = TwoNodes();
  ASSERT_TRUE(ledger.Place(Of(5)));
  auto refused = ledger.Place(Of(1));
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("1 rank was asked for"), HasSubstr("of the 8"), HasSubstr("0 are free"),
                    HasSubstr("-n"), HasSubstr("OVERSUBSCRIBE")));
  SpawnRequest crowd = Of(4);
  crowd.oversubscribe = true;
  EXPECT_EQ(ledger.Place(crowd)->ranks, (Ranks{{0, 2}, {1, 3}}));
}

TEST(Spawn, GivesRoomBackWhenAWorldHasEndedEverywhere) {
  SpawnLedger ledger = TwoNodes();
  auto world = ledger.Place(Of(5));
  EXPECT_FALSE(ledger.Ended(world->number, 0));
  EXPECT_FALSE(ledger.Ended(world->number, 0));  // said twice
  EXPECT_TRUE(ledger.any_live());
  EXPECT_TRUE(ledger.Ended(world->number, 1));
  EXPECT_FALSE(ledger.any_live());
  auto next = ledger.Place(Of(5));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->number, world->number + 1);  // a name is never used twice
}

TEST(Spawn, KeepsToTheHostsNamed) {
  SpawnRequest there = Of(2);
  there.hosts = {"b"};
  EXPECT_EQ(TwoNodes().Place(there)->ranks, (Ranks{{}, {0, 1}}));
  there.programs[0].count = 4;
  EXPECT_THAT(TwoNodes().Place(there).error().message, HasSubstr("3 are free"));
  there.hosts = {"b", "elsewhere"};
  EXPECT_EQ(TwoNodes().Place(there).error().code, Code::kUnimplemented);
}

TEST(Spawn, GivesEachProgramItsRanks) {
  SpawnRequest request{.programs = {{.argv = {"a"}, .count = 2}, {.argv = {"b"}, .count = 1}}};
  ASSERT_TRUE(TwoNodes().Place(request));
  EXPECT_EQ(ProgramOf(request, 0), 0U);
  EXPECT_EQ(ProgramOf(request, 1), 0U);
  EXPECT_EQ(ProgramOf(request, 2), 1U);
}

TEST(Spawn, OfNothingOrTooMuchIsRefused) {
  for (SpawnRequest request : {SpawnRequest{}, Of(0), Of(kSpawnRanksMax + 1)}) {
    request.oversubscribe = true;
    EXPECT_EQ(TwoNodes().Place(request).error().code, Code::kInvalidArgument);
  }
  SpawnRequest nameless = Of(1);
  nameless.programs[0].argv.clear();
  EXPECT_EQ(TwoNodes().Place(nameless).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace slipway
