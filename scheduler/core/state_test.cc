// SPDX-License-Identifier: Apache-2.0
// Bytes: events and snapshots survive the way to the disk and back, and damage is noticed.
#include "scheduler/core/state.h"

#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

TEST(CoreSet, IsASetOfNumbers) {
  CoreSet all = CoreSet::FirstN(130);
  CoreSet low = all.Lowest(70);
  EXPECT_EQ(low, CoreSet::FirstN(70));
  CoreSet rest = all;
  rest.Remove(low);
  EXPECT_EQ(rest.count(), 60U);
  EXPECT_EQ(rest.Numbers().front(), 70U);
  EXPECT_EQ(rest.Lowest(2).Numbers(), (std::vector<std::uint32_t>{70, 71}));
  EXPECT_FALSE(rest.Intersects(low));
  rest.Insert(low);
  EXPECT_EQ(rest, all);
  rest.Remove(all);
  EXPECT_EQ(rest, CoreSet());
}

TEST(NodeNames, AreOrderedByTheirNumbers) {
  NodeNameLess less;
  EXPECT_TRUE(less("n2", "n10"));
  EXPECT_FALSE(less("n10", "n2"));
  EXPECT_TRUE(less("n2a1", "n2a3"));
  EXPECT_TRUE(less("n01", "n1") != less("n1", "n01"));
  EXPECT_FALSE(less("n1", "n1"));
  EXPECT_TRUE(less("a", "n1"));
}

TEST(Events, EveryKindComesBackAsItWas) {
  TestCluster c(2);
  JobSpec spec = LaunchJob(2, 4);
  spec.array.reset();
  spec.command.env = {"A=b"};
  c.Finish(c.Submit(spec), 3);
  ASSERT_GT(c.log.size(), 8U);
  for (const std::string& record : c.log) {
    Result<Event> event = DecodeEvent(record);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(EncodeEvent(*event), record) << Describe(*event);
    EXPECT_FALSE(DecodeEvent(record.substr(0, record.size() - 1)).has_value());
    EXPECT_FALSE(DecodeEvent(record + "x").has_value());
  }
}

TEST(Events, UnknownKindsAndVersionsAreErrors) {
  std::string record = EncodeEvent({{1}, EpochBegan{1}});
  std::string kind = record, version = record;
  kind[2] = 99;
  version[0] = 9;
  EXPECT_NE(DecodeEvent(kind).error().message.find("kind 99"), std::string::npos);
  EXPECT_NE(DecodeEvent(version).error().message.find("version 9"), std::string::npos);
  EXPECT_FALSE(DecodeEvent("").has_value());
}

std::string Told(const State& state, Time now) {
  std::string text;
  for (const auto& [name, node] : state.nodes) {
    for (const NodeMessage& message : Outstanding(state, name, now))
      text += Cat(name, ": ", Describe(message), '\n');
  }
  return text;
}

TEST(Snapshot, IsTheStateWithItsIndexes) {
  TestCluster c(2);
  JobSpec spec = SmallJob(3);
  spec.array = ArrayRequest{{1, 2, 3, 4}, 0};
  (void)c.Submit(spec);
  JobId running{2};
  c.Started(c.PrimaryOf(running), "n1");
  (void)c.TryStep(running, {.tasks = 1});
  c.Do(CancelStep{{1}, {running, 0, 0}, {20001, false}});
  std::string bytes = EncodeState(c.state());
  Result<State> back = DecodeState(bytes);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(EncodeState(*back), bytes);
  EXPECT_EQ(Told(*back, c.now), Told(c.state(), c.now)) << "what nodes have to be told";
  EXPECT_EQ(back->pending, c.state().pending);
  EXPECT_EQ(back->active, c.state().active);
  EXPECT_EQ(back->live, c.state().live);
  EXPECT_EQ(back->FindNode("n1")->cores_free, c.state().FindNode("n1")->cores_free);
  EXPECT_EQ(back->arrays.begin()->second.running, c.state().arrays.begin()->second.running);
  EXPECT_EQ(back->FindJob({2})->spec.get(), back->FindJob({5})->spec.get())
      << "tasks share one specification";
  EXPECT_FALSE(DecodeState(bytes.substr(0, bytes.size() / 2)).has_value());
}

TEST(Apply, EventsThatDoNotApplyChangeNothing) {
  TestCluster c(1);
  c.Finish(c.Submit(SmallJob()));
  State state = *DecodeState(EncodeState(c.state()));
  std::string before = EncodeState(state);
  for (const std::string& record : c.log) {
    Event event = *DecodeEvent(record);
    if (!std::holds_alternative<NodeRegistered>(event.body) &&
        !std::holds_alternative<EpochBegan>(event.body))
      Apply(state, event);
  }
  EXPECT_EQ(EncodeState(state), before) << "the whole log a second time";
}

}  // namespace
}  // namespace slipway::scheduler
