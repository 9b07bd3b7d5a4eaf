// SPDX-License-Identifier: Apache-2.0
// Two steps of one job, each a member on one node, and the rendezvous between them; frames arrive at once.
#include "pmix/exchange/rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>

namespace slipway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kWaiting[] = "waiting";

class Steps : public ::testing::Test {
 protected:
  struct Step {
    std::uint32_t number = 0;
    std::unique_ptr<Exchange> exchange;
    std::vector<std::string> asked;  // by the rendezvous
  };
  void SetUp() override {
    Join(one_, 1);
    Join(two_, 2);
  }
  void Join(Step& step, std::uint32_t number) {
    step.number = number;
    ExchangeCallbacks callbacks;
    callbacks.send = [this, number](std::uint32_t, std::string bytes) {
      Carry([this, number, bytes] { ASSERT_TRUE(rendezvous_.Deliver({number, "n1"}, bytes)); });
    };
    callbacks.serve = [&step](std::uint32_t, Service service, std::string data, Exchange::Reply reply) {
      step.asked.push_back(Cat(static_cast<int>(service), ":", data));
      reply("of " + std::to_string(step.number));
    };
    callbacks.step_failed = [](std::uint32_t, std::int32_t, std::string) {};
    step.exchange = std::make_unique<Exchange>(1, std::vector<std::string>{"r", "n1"}, callbacks);
    Ask(step, Service::kJobWorlds, Encode(std::vector<JobWorld>{World(number)}));
  }
  static JobWorld World(std::uint32_t step) { return {Cat("w", step), {"n1"}, {{0, 1}}}; }

  // The answer, an error behind "!", or that there is none yet.
  std::string& Ask(Step& step, Service service, std::string data) {
    std::string& answer = answers_.emplace_back(kWaiting);
    step.exchange->Ask(0, service, std::move(data), [&answer](Result<std::string> got) {
      answer = got ? *got : "!" + got.error().message;
    });
    return answer;
  }
  std::string& Name(Step& step, NameRequest::Kind kind, bool wait = false) {
    NameRequest request{.kind = kind, .key = "k", .value = "v", .wait = wait};
    request.world = Cat("w", step.number);
    return Ask(step, Service::kName, Encode(request));
  }
  std::string& Meet(Step& step, std::vector<std::string> worlds, std::uint64_t number = 0) {
    return Ask(step, Service::kJobMeet,
               Encode(MeetRequest{"all", number, std::move(worlds), Cat("d", step.number)}));
  }
  std::string& Launch(Step& step) {
    JobLaunch launch;
    launch.request.image = "tools:2";
    launch.request.parent = Cat("w", step.number);
    return Ask(step, Service::kJobLaunch, Encode(launch));
  }
  // Frames come in order, and none within the sending of another.
  void Carry(std::function<void()> frame) {
    waiting_.push_back(std::move(frame));
    if (carrying_) return;
    carrying_ = true;
    for (; !waiting_.empty(); waiting_.pop_front()) waiting_.front()();
    carrying_ = false;
  }

  Rendezvous rendezvous_{
      {.send =
           [this](const Rendezvous::Member& to, const std::string& bytes, const std::string& gone) {
             if (!gone.empty()) return sent_away_.push_back(to.step);
             if (to.node != "n1") return elsewhere_.push_back(to);
             Carry([this, to, bytes] {
               ASSERT_TRUE((to.step == 1 ? one_ : two_).exchange->Deliver(0, bytes));
             });
           },
       .launch =
           [this](std::uint64_t ticket, const JobLaunch& launch) {
             launched_.push_back(Cat(ticket, ":", launch.request.image));
             return Result<>();
           },
       .stop = [this](std::uint64_t ticket) { stopped_.push_back(ticket); }}};
  Step one_, two_;
  std::deque<std::string> answers_;
  std::deque<std::function<void()>> waiting_;
  bool carrying_ = false;
  std::vector<std::string> launched_;
  std::vector<std::uint64_t> stopped_;
  std::vector<std::uint32_t> sent_away_;
  std::vector<Rendezvous::Member> elsewhere_;
};

TEST_F(Steps, FindEachOthersNamesAndWhoseTheyAre) {
  EXPECT_THAT(Name(two_, NameRequest::kLookup), HasSubstr("no such name: k"));
  std::string& waits = Name(two_, NameRequest::kLookup, true);
  EXPECT_EQ(Name(one_, NameRequest::kPublish), "");
  auto found = *Decode<FoundName>(waits, "found");
  EXPECT_EQ(found.value, "v");
  ASSERT_EQ(found.worlds.size(), 1U);
  EXPECT_EQ(Encode(found.worlds[0]), Encode(World(1)));
  EXPECT_THAT(Decode<FoundName>(Name(one_, NameRequest::kLookup), "found")->worlds, IsEmpty());
}

TEST_F(Steps, ThatEndLeaveNoNamesAndNobodyWhoWaits) {
  EXPECT_EQ(Name(one_, NameRequest::kPublish), "");
  rendezvous_.StepGone({1, "n1"}, "over");
  EXPECT_EQ(Name(two_, NameRequest::kPublish), "");  // the name is free
  rendezvous_.NodeGone("n1", "dead");                // nor does who asked and has gone get an answer
}

TEST_F(Steps, MeetOnceAllHaveComeAgainAndAgain) {
  for (std::uint64_t number : {0, 1}) {
    std::string& first = Meet(one_, {"w1", "w2"}, number);
    EXPECT_EQ(first, kWaiting);
    EXPECT_EQ(Meet(two_, {"w1", "w2"}, number), "d1d2");
    EXPECT_EQ(first, "d1d2");
  }
}

TEST_F(Steps, GetNumbersThatNoStepGivesItself) {
  auto first = *Decode<std::uint64_t>(Ask(one_, Service::kNumber, {}), "number");
  auto second = *Decode<std::uint64_t>(Ask(two_, Service::kNumber, {}), "number");
  EXPECT_GT(first, std::uint64_t{UINT32_MAX});
  EXPECT_NE(first, second);
}

TEST_F(Steps, DoNotWaitForOneThatHasEnded) {
  std::string& waits = Meet(one_, {"w1", "w2"});
  rendezvous_.StepGone({2, "n1"}, "it failed");
  EXPECT_THAT(waits, HasSubstr("step 2 is gone from node n1: it failed"));
  EXPECT_THAT(Meet(one_, {"w1", "w2"}, 1), HasSubstr("has ended"));
  EXPECT_THAT(Ask(one_, Service::kModex, Encode(ModexRequest{"w2", 0})), HasSubstr("has ended"));
}

TEST_F(Steps, CannotMeetWithoutBeingThere) {
  EXPECT_THAT(Meet(one_, {"w2"}), HasSubstr("no part in"));
  EXPECT_EQ(Meet(one_, {"w1", "w2"}), kWaiting);
  EXPECT_THAT(Meet(one_, {"w1", "w2"}), HasSubstr("second time"));
  EXPECT_THAT(Ask(two_, Service::kJobWorlds, Encode(std::vector<JobWorld>{World(1)})),
              HasSubstr("another step"));
}

TEST_F(Steps, GetTheDataOfEachOthersRanks) {
  std::string request = Encode(ModexRequest{"w2", 1});
  EXPECT_EQ(Ask(one_, Service::kModex, request), "of 2");
  EXPECT_THAT(two_.asked, ElementsAre(Cat(static_cast<int>(Service::kModex), ":", request)));
  EXPECT_THAT(Ask(one_, Service::kModex, Encode(ModexRequest{"w2", 2})), HasSubstr("no such rank"));
}

TEST_F(Steps, GetTheDataOfRanksOnANodeThatHasNotSpokenYet) {
  JobWorld wide{"wide", {"n1", "n2"}, {{0}, {1}}};
  Ask(two_, Service::kJobWorlds, Encode(std::vector<JobWorld>{wide}));
  std::string& data = Ask(one_, Service::kModex, Encode(ModexRequest{"wide", 1}));
  EXPECT_THAT(elsewhere_, ElementsAre(Rendezvous::Member{2, "n2"}));
  EXPECT_EQ(data, kWaiting);
  rendezvous_.StepGone({2, "n1"}, "over");  // and do not wait for it for ever
  EXPECT_THAT(data, HasSubstr("is gone: over"));
}

TEST_F(Steps, OfAnotherImageJoinWhoSpawnedThem) {
  std::string& spawned = Launch(one_);
  EXPECT_THAT(launched_, ElementsAre("1:tools:2"));
  std::string word = Encode(JobStarted{1, "w2"});
  EXPECT_THAT(Ask(two_, Service::kJobStarted, word), HasSubstr("nobody"));  // it has not joined
  auto joining = *Decode<Joining>(Ask(two_, Service::kJobJoin, Encode(std::uint64_t{1})), "joining");
  EXPECT_EQ(joining.parent, "w1");
  EXPECT_EQ(joining.worlds.size(), 1U);
  EXPECT_EQ(spawned, kWaiting);
  EXPECT_EQ(Ask(two_, Service::kJobStarted, word), "");
  EXPECT_EQ(Decode<Launched>(spawned, "launched")->nspace, "w2");
  rendezvous_.LaunchEnded(1, 3);  // and who spawned them hears how they ended
  EXPECT_THAT(one_.asked, ElementsAre(Cat(static_cast<int>(Service::kJobLaunchFailed), ":",
                                          Encode(LaunchFailed{"w2", 3}))));
}

TEST_F(Steps, OfAnotherImageThatDoNotComeAreAnError) {
  std::string& spawned = Launch(one_);
  rendezvous_.LaunchEnded(1, 1);
  EXPECT_THAT(spawned, HasSubstr("--image tools:2 ended with code 1"));
  EXPECT_THAT(Ask(two_, Service::kJobJoin, Encode(std::uint64_t{1})), HasSubstr("nobody"));
}

TEST_F(Steps, OfAnotherImageAreEndedWithWhoWaitsForThem) {
  Launch(one_);
  rendezvous_.StepGone({1, "n1"}, "over");
  EXPECT_THAT(stopped_, ElementsAre(1U));
}

TEST_F(Steps, OfAnUnreachableNodeAreToldSoWhenTheyAreBack) {
  rendezvous_.NodeGone("n1", "30 s");
  EXPECT_EQ(Name(one_, NameRequest::kLookup), kWaiting);
  EXPECT_THAT(sent_away_, ElementsAre(1U));
}

TEST(Worlds, ThatCannotBeRegisteredAreRefused) {
  EXPECT_TRUE(CheckWorlds({{"w", {"a", "b"}, {{1}, {0}}}}));
  for (const JobWorld& bad :
       {JobWorld{"", {"a"}, {{0}}}, JobWorld{"w", {"a"}, {{}}}, JobWorld{"w", {"a"}, {{0, 0}}},
        JobWorld{"w", {"a"}, {{1}}}, JobWorld{"w", {"a", "b"}, {{0}}}})
    EXPECT_FALSE(CheckWorlds({bad}));
}

}  // namespace
}  // namespace slipway
