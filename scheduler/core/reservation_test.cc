// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kAlice = 20001;

// Two nodes of four cores; a job's nodes are its own until a second after its limit.
struct Reservations : testing::Test {
  static Site MakeSite() {
    Site site;
    site.plan.grace_s = 1;
    site.plan.reservations = 10;
    return site;
  }
  TestCluster cluster{2, 4, 8 << 20, MakeSite()};

  Reservation Course(std::int64_t in_s, std::uint32_t for_s, std::vector<std::string> nodes = {"n1", "n2"}) {
    Reservation course{"course", std::move(nodes), cluster.now.PlusSeconds(in_s), for_s};
    course.users = {{kAlice, "alice"}};
    return course;
  }
  Result<> Try(ReservationRequest request, bool admin = true) {
    cluster.Do(ChangeReservation{{1}, {0, admin}, std::move(request)});
    if (!cluster.answer) return Failure(cluster.answer.error());
    return {};
  }
  Result<> Make(Reservation wanted) { return Try({std::move(wanted), true}); }
  JobSpec Job(std::uint32_t limit_s, const std::string& reservation = "", std::uint32_t nodes = 1) {
    JobSpec spec = WideJob(nodes, nodes);
    spec.resources.exclusive = true;
    spec.resources.reservation = reservation;
    spec.time_limit_s = limit_s;
    return spec;
  }
  std::string Why(JobId job) {
    std::string text;
    for (const std::string& reason : cluster.controller().Explain(job).reasons) text += reason + "\n";
    return text;
  }
};

TEST_F(Reservations, AJobThatWouldRunIntoOneDoesNotStart) {
  ASSERT_TRUE(Make(Course(100, 60)).has_value());
  JobId shorter = cluster.Submit(Job(99));
  JobId longer = cluster.Submit(Job(100));
  EXPECT_EQ(cluster.StateOf(shorter), "STARTING");
  EXPECT_EQ(cluster.StateOf(longer), "PENDING");
  EXPECT_NE(
      Why(longer).find("ReqNodeNotAvail: 2 of the nodes that it may use are reserved (course) in 2 minutes"),
      std::string::npos)
      << Why(longer);
  auto planned = cluster.controller().PlannedStartOf(longer);
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(planned->at, cluster.now.PlusSeconds(160)) << "behind the reservation";
}

TEST_F(Reservations, ItsOwnJobsStartWhenItBeginsAndEndWithinIt) {
  ASSERT_TRUE(Make(Course(100, 60)).has_value());
  JobId job = cluster.Submit(Job(30, "course", 2));
  EXPECT_EQ(cluster.StateOf(job), "PENDING");
  EXPECT_EQ(cluster.controller().ReasonOf(job), PendingReason::kReservation);
  EXPECT_NE(Why(job).find("Reservation: course begins in 2 minutes"), std::string::npos) << Why(job);
  EXPECT_EQ(cluster.controller().PlannedStartOf(job)->at, cluster.now.PlusSeconds(100));
  cluster.Pass(100);
  EXPECT_EQ(cluster.StateOf(job), "STARTING");
  cluster.Finish(job);
  cluster.Pass(10);
  EXPECT_EQ(cluster.StateOf(cluster.Submit(Job(48, "course"))), "STARTING");
  JobId late = cluster.Submit(Job(50, "course"));
  EXPECT_EQ(cluster.StateOf(late), "PENDING") << "would end after it";
  cluster.Pass(100);
  EXPECT_TRUE(cluster.state().reservations.empty()) << "it is over";
  EXPECT_NE(Why(late).find("ReservationDeleted"), std::string::npos) << Why(late);
}

TEST_F(Reservations, OthersGetTheNodesBackWhenItIsOverOrRemoved) {
  ASSERT_TRUE(Make(Course(0, 3600)).has_value());
  JobId job = cluster.Submit(Job(60));
  EXPECT_EQ(cluster.StateOf(job), "PENDING");
  cluster.Do(ChangeReservation{{1}, {0, true}, ReservationRemoved{"course"}});
  EXPECT_EQ(cluster.StateOf(job), "STARTING");
}

TEST_F(Reservations, TheirJobsDoNotOverlapWithWhatRanBefore) {
  JobId before = cluster.Submit(Job(200));
  EXPECT_EQ(cluster.NodesOf(before), "n1:1");
  EXPECT_FALSE(Make(Course(100, 60)).has_value());
  EXPECT_NE(cluster.answer.error().message.find("job 1 is expected to run on n1 then"), std::string::npos);
  ReservationRequest request{Course(100, 150), true};
  request.ignore_jobs = true;
  ASSERT_TRUE(Try(request).has_value());
  cluster.Pass(100);
  JobId both = cluster.Submit(Job(30, "course", 2)), one = cluster.Submit(Job(30, "course"));
  EXPECT_EQ(cluster.NodesOf(one), "n2:1");
  EXPECT_EQ(cluster.StateOf(both), "PENDING");
  cluster.Finish(before);
  cluster.Finish(one);
  EXPECT_EQ(cluster.StateOf(both), "STARTING");
}

TEST_F(Reservations, AJobThatOverrunsTheWindowKeepsItsNode) {
  ASSERT_TRUE(Make(Course(0, 100)).has_value());
  JobId job = cluster.Submit(Job(90, "course", 2));
  ASSERT_EQ(cluster.StateOf(job), "STARTING");
  cluster.Pass(300);  // its end is asked for, the nodes do not answer
  EXPECT_TRUE(cluster.state().reservations.empty());
  JobId other = cluster.Submit(Job(60));
  EXPECT_EQ(cluster.StateOf(other), "PENDING");
  cluster.ReleaseAll(job);
  EXPECT_EQ(cluster.StateOf(other), "STARTING");
}

TEST_F(Reservations, OnlyWhomTheyAreForMayUseThem) {
  ASSERT_TRUE(Make(Course(0, 3600)).has_value());
  JobSpec spec = Job(60, "course");
  spec.user.uid = 20002;
  spec.user.name = "bob";
  auto refused = cluster.TrySubmit(spec);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_NE(refused.error().message.find("course is not for bob"), std::string::npos);
  EXPECT_FALSE(cluster.TrySubmit(Job(60, "cuorse")).has_value());
  auto longer = cluster.TrySubmit(Job(3600, "course"));
  ASSERT_FALSE(longer.has_value());
  EXPECT_NE(longer.error().message.find("at most 3599 s"), std::string::npos);
}

TEST_F(Reservations, AnAccountsReservationIsForAllInIt) {
  cluster.Do(ChangeAccount{{1}, {0, true}, AccountSet{{"physics", "root", 1, "", {}}}});
  cluster.Do(
      ChangeAccount{{1}, {0, true}, AssociationSet{{"physics", kAlice}, {"alice", 1, true, false, {}}}});
  Reservation course = Course(0, 3600);
  course.users.clear();
  course.accounts = {"physics"};
  ASSERT_TRUE(Make(course).has_value());
  EXPECT_EQ(cluster.StateOf(cluster.Submit(Job(60, "course"))), "STARTING");
}

TEST_F(Reservations, MaintenanceDrainsItsNodesAndLiesOverOthers) {
  ASSERT_TRUE(Make(Course(0, 3600)).has_value());
  Reservation repair{"repair", {"n1"}, cluster.now.PlusSeconds(100), 100};
  EXPECT_FALSE(Make(repair).has_value()) << "for nobody";
  repair.maintenance = true;
  ASSERT_TRUE(Make(repair).has_value());
  JobId both = cluster.Submit(Job(120, "course", 2)), one = cluster.Submit(Job(120, "course"));
  EXPECT_EQ(cluster.NodesOf(one), "n2:1");
  EXPECT_EQ(cluster.StateOf(both), "PENDING");
  EXPECT_NE(Why(both).find("1 of the nodes that it may use is reserved (repair, maintenance)"),
            std::string::npos)
      << Why(both);
  EXPECT_EQ(cluster.controller().PlannedStartOf(both)->at, cluster.now.PlusSeconds(200));
}

TEST_F(Reservations, FlexJobsMayBeginBeforeAndEndAfter) {
  Reservation course = Course(100, 60);
  course.flex = true;
  ASSERT_TRUE(Make(course).has_value());
  JobId other = cluster.Submit(Job(50));
  JobId flex = cluster.Submit(Job(500, "course"));
  EXPECT_EQ(cluster.NodesOf(other), "n1:1");
  EXPECT_EQ(cluster.NodesOf(flex), "n2:1") << "where nothing runs";
  JobId second = cluster.Submit(Job(500, "course"));
  EXPECT_EQ(cluster.StateOf(second), "PENDING");
  cluster.Finish(other);
  EXPECT_EQ(cluster.NodesOf(second), "n1:1");
}

TEST_F(Reservations, OneThatRecursIsThereAgainEveryDay) {
  Reservation nightly = Course(3600, 3600);
  nightly.period_s = kDayS;
  ASSERT_TRUE(Make(nightly).has_value());
  for (int day = 0; day < 12; ++day) {
    JobId long_one = cluster.Submit(Job(2 * 3600));
    EXPECT_EQ(cluster.StateOf(long_one), "PENDING") << day;
    JobId inside = cluster.Submit(Job(600, "course", 2));
    EXPECT_EQ(cluster.controller().PlannedStartOf(inside)->at, cluster.now.PlusSeconds(3600)) << day;
    cluster.Pass(3600);
    ASSERT_EQ(cluster.StateOf(inside), "STARTING") << day;
    cluster.Finish(inside);
    cluster.Pass(3600);
    ASSERT_EQ(cluster.StateOf(long_one), "STARTING") << day;
    cluster.Finish(long_one);
    cluster.now = Time{nightly.start.us}.PlusSeconds(std::int64_t{kDayS} * (day + 1) - 3600);
    cluster.Do(Tick{});
  }
}

TEST_F(Reservations, AJobLongerThanTheTimeBetweenTwoWindowsIsNeverPromisedAStart) {
  Reservation nightly = Course(3600, 3600);
  nightly.period_s = kDayS;
  ASSERT_TRUE(Make(nightly).has_value());
  JobId job = cluster.Submit(Job(25 * 3600));
  EXPECT_FALSE(cluster.controller().PlannedStartOf(job).has_value());
  EXPECT_EQ(cluster.StateOf(job), "PENDING");
}

TEST_F(Reservations, NodesAreChosenByCountWhereNothingRunsThen) {
  JobId runs = cluster.Submit(Job(1000));
  ASSERT_EQ(cluster.NodesOf(runs), "n1:1");
  ReservationRequest request{Course(100, 100, {}), true, 1};
  ASSERT_TRUE(Try(request).has_value());
  EXPECT_EQ(cluster.state().reservations.at("course").nodes, std::vector<std::string>{"n2"});
  request.wanted.name = "second";
  EXPECT_FALSE(Try(request).has_value());
  EXPECT_NE(cluster.answer.error().message.find("only 0 of 1 nodes"), std::string::npos);
}

TEST_F(Reservations, WhatWouldBeASurpriseLaterIsRefused) {
  EXPECT_FALSE(Try({Course(0, 100), true}, false).has_value()) << "not by a user";
  EXPECT_FALSE(Make(Course(0, 100, {"n1", "n9"})).has_value());
  EXPECT_EQ(cluster.answer.error().message, "there is no node n9");
  EXPECT_FALSE(Make(Course(0, 10)).has_value()) << "too short";
  EXPECT_FALSE(Make(Course(-200, 100)).has_value()) << "over already";
  Reservation odd = Course(0, 100);
  odd.period_s = 1000;
  EXPECT_FALSE(Make(odd).has_value());
  odd.period_s = kDayS;
  odd.duration_s = kDayS + 1;
  EXPECT_FALSE(Make(odd).has_value()) << "still lasts when it recurs";
  ASSERT_TRUE(Make(Course(100, 100)).has_value());
  EXPECT_FALSE(Make(Course(100, 100)).has_value()) << "twice";
  Reservation other = Course(150, 100, {"n2"});
  other.name = "other";
  EXPECT_FALSE(Make(other).has_value());
  EXPECT_EQ(cluster.answer.error().message,
            "n2 is in reservation course then; choose other nodes or another time");
  other.start = cluster.now.PlusSeconds(200);
  EXPECT_TRUE(Make(other).has_value()) << "one after the other";
}

TEST_F(Reservations, OneInWhichAJobRunsIsNotRemoved) {
  ASSERT_TRUE(Make(Course(0, 3600)).has_value());
  JobId job = cluster.Submit(Job(60, "course"));
  cluster.Do(ChangeReservation{{1}, {0, true}, ReservationRemoved{"course"}});
  EXPECT_FALSE(cluster.answer.has_value());
  cluster.Finish(job);
  cluster.Do(ChangeReservation{{1}, {0, true}, ReservationRemoved{"course"}});
  EXPECT_TRUE(cluster.answer.has_value());
}

TEST_F(Reservations, TheySurviveARestart) {
  ASSERT_TRUE(Make(Course(100, 60)).has_value());
  JobId inside = cluster.Submit(Job(30, "course")), outside = cluster.Submit(Job(500));
  cluster.Restart();
  cluster.Register("n1");
  cluster.Register("n2");
  EXPECT_EQ(cluster.StateOf(outside), "PENDING");
  cluster.Pass(100);
  EXPECT_EQ(cluster.StateOf(inside), "STARTING");
  cluster.Pass(100);
  EXPECT_TRUE(cluster.state().reservations.empty());
  Result<State> again = DecodeState(EncodeState(cluster.state()));
  ASSERT_TRUE(again.has_value());
}

TEST_F(Reservations, NoByteOfASnapshotOrRecordIsTrusted) {
  ASSERT_TRUE(Make(Course(100, 60)).has_value());
  JobSpec array = Job(30, "course");
  array.array = ArrayRequest{{1, 2, 3, 5, 8}, 2};
  JobId id = cluster.Submit(array);
  cluster.Do(CancelJob{{1}, {id.value + 5}, {kAlice, false}});
  std::vector<std::string> records = cluster.log;
  for (const std::string& record : records) {
    for (std::size_t size = 0; size < record.size(); ++size)
      EXPECT_FALSE(DecodeEvent(record.substr(0, size)).has_value());
  }
  std::string snapshot = EncodeState(cluster.state());
  ASSERT_TRUE(DecodeState(snapshot).has_value());
  for (std::size_t at = 0; at < snapshot.size(); ++at) {
    EXPECT_FALSE(DecodeState(snapshot.substr(0, at)).has_value());
    for (unsigned char flip : {0x01, 0x80, 0xff}) {
      std::string wrong = snapshot;
      wrong[at] = static_cast<char>(wrong[at] ^ flip);
      Result<State> read = DecodeState(wrong);  // whatever it says, it ends
      if (read) (void)EncodeState(*read);
    }
  }
}

TEST(ReservationWindows, TheOnesThatRecurOverlapWhenTheirTimesOfDayDo) {
  auto at = [](std::int64_t hours, std::uint32_t hours_long, std::uint32_t period_s) {
    return Reservation{"r", {}, Time{}.PlusSeconds(hours * 3600), hours_long * 3600, period_s};
  };
  Time now{};
  EXPECT_TRUE(Overlap(at(10, 2, kDayS), at(24 * 5 + 11, 1, kWeekS), now));
  EXPECT_FALSE(Overlap(at(10, 2, kDayS), at(24 * 5 + 12, 1, kWeekS), now));
  EXPECT_FALSE(Overlap(at(24 * 3, 24, kWeekS), at(24 * 4, 24, kWeekS), now));
  EXPECT_TRUE(Overlap(at(24 * 3, 24, kWeekS), at(24 * 10 + 1, 1, 0), now));
  EXPECT_FALSE(Overlap(at(24 * 10, 24, kWeekS), at(24 * 3, 24, 0), now)) << "it had not begun";
  EXPECT_TRUE(Overlap(at(0, 100, 0), at(24, 1, kDayS), now));
  EXPECT_FALSE(Overlap(at(0, 1, 0), at(0, 1, 0), now.PlusSeconds(3600))) << "both are over";
}

}  // namespace
}  // namespace slipway::scheduler
