// SPDX-License-Identifier: Apache-2.0
// What earlier releases wrote is read. testdata/log-v2.hex to log-v4.hex were written by the last releases
// of these versions: a launch that ended, an array, a job that waits (of version 3 also a job with a GPU and
// an account, of version 4 a reservation); one record a line, then a snapshot of the state they make.
#include <gtest/gtest.h>

#include <fstream>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

struct OldLog {
  std::vector<std::string> records;
  std::string snapshot;
  explicit OldLog(const std::string& name = "log-v2.hex") {
    std::ifstream file(TESTDATA "/" + name);
    for (std::string line; std::getline(file, line);) {
      constexpr std::string_view kSnapshot = "snapshot ";
      line.starts_with(kSnapshot) ? snapshot = FromHex(line.substr(kSnapshot.size()))
                                  : records.emplace_back(FromHex(line));
    }
  }
};

// Into `state`, which must be that of the log's snapshot.
void Replay(const OldLog& old, State& state) {
  for (const std::string& record : old.records) {
    Result<Event> event = DecodeEvent(record);
    ASSERT_TRUE(event.has_value()) << event.error().message;
    Apply(state, *event);
  }
  Result<State> snapshot = DecodeState(old.snapshot);
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
  EXPECT_TRUE(EncodeState(state) == EncodeState(*snapshot));
}

TEST(Versions, ALogOfTheReleaseBeforeGivesTheStateOfItsSnapshot) {
  OldLog old;
  ASSERT_EQ(old.records.size(), 18U);
  State state;
  ASSERT_NO_FATAL_FAILURE(Replay(old, state));
  EXPECT_EQ(state.FindJob({1})->spec->comment, "of version 2");
  EXPECT_EQ(state.FindJob({1})->outcome->exit_code, 3);
  EXPECT_EQ(state.active.size(), 2U);
  EXPECT_EQ(state.FindJob({6})->dependencies.size(), 1U);
}

TEST(Versions, ALogOfVersionThreeGivesTheStateOfItsSnapshot) {
  OldLog old("log-v3.hex");
  ASSERT_EQ(old.records.size(), 23U);
  State state;
  ASSERT_NO_FATAL_FAILURE(Replay(old, state));
  EXPECT_EQ(state.FindJob({1})->spec->comment, "of version 3");
  EXPECT_EQ(state.FindJob({2})->spec->resources.gpu_type, "a100");
  EXPECT_EQ(state.accounts.at("physics").shares, 2U);
  EXPECT_TRUE(state.reservations.empty());
  std::string reservation = EncodeEvent({{5}, ReservationSet{}});
  reservation[0] = 3;
  EXPECT_FALSE(DecodeEvent(reservation).has_value()) << "there was no such kind then";
}

TEST(Versions, ALogOfVersionFourGivesTheStateOfItsSnapshot) {
  OldLog old("log-v4.hex");
  ASSERT_EQ(old.records.size(), 26U);
  State state;
  ASSERT_NO_FATAL_FAILURE(Replay(old, state));
  EXPECT_EQ(state.FindJob({1})->spec->comment, "of version 4");
  EXPECT_EQ(state.reservations.at("course").nodes.size(), 1U);
  EXPECT_EQ(state.FindJob({10})->spec->resources.reservation, "course");
  EXPECT_TRUE(state.FindJob({2})->partition.empty());
  std::string suspended = EncodeEvent({{5}, JobSuspended{}});
  suspended[0] = 4;
  EXPECT_FALSE(DecodeEvent(suspended).has_value()) << "there was no such kind then";
}

TEST(Versions, AnOldLogGoesOnWithANewController) {
  OldLog old;
  State state = *DecodeState(old.snapshot);
  Controller controller(std::move(state));
  Time now{1'700'000'100'000'000};
  (void)controller.Begin(2, now);
  auto effects = controller.Handle(SubmitJob{{1}, SmallJob()}, now);
  EXPECT_EQ(controller.state().associations.size(), 1U) << "who submits now has a part in an account";
  EXPECT_EQ(controller.state().FindJob({7})->spec->account, kDefaultAccount);
}

TEST(Versions, ARecordOfVersionOneHasNothingBehindTheComment) {
  WireWriter writer;
  writer(std::uint16_t{1}, std::uint16_t{2}, Time{5}, JobId{7}, JobSpecV1{SmallJob()});
  std::string record = writer.Take();
  Result<Event> event = DecodeEvent(record);
  ASSERT_TRUE(event.has_value()) << event.error().message;
  EXPECT_EQ(std::get<JobSubmitted>(event->body).spec.name, "small");
  std::string update = EncodeEvent({{5}, JobUpdated{{7}, 1, {}}});
  update[0] = 1;
  EXPECT_FALSE(DecodeEvent(update).has_value()) << "there was no such kind then";
  std::string account = EncodeEvent({{5}, AccountSet{}});
  account[0] = 2;
  EXPECT_FALSE(DecodeEvent(account).has_value()) << "nor this one in version 2";
}

}  // namespace
}  // namespace slipway::scheduler
