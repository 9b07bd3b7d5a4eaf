// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/projects.h"

#include <gmock/gmock.h>

namespace slipway::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const PolicyUser kAnn{1001, {1001}, "ann"}, kBob{1002, {1002, 70}, "bob"}, kEve{1003, {1003}, "eve"};
const PolicySubject kUserAnn{false, 1001, "ann"}, kUserBob{false, 1002, "bob"}, kGroupPhys{true, 70, "phys"};
const NamedImage kAnns{"physics/mpi:4.1", 1001, "ann"}, kBobs{"physics/mpi:5", 1002, "bob"};

Projects Physics(bool open = true) {
  return Projects({{.name = "physics", .owners = {kUserAnn}, .members = {kGroupPhys}}}, open);
}

TEST(Projects, AreTheirOwnersWithAllTheirNames) {
  Projects projects = Physics();
  EXPECT_TRUE(projects.MayMake(kAnn, "physics"));
  EXPECT_TRUE(projects.MayMove(kAnn, kBobs));
  EXPECT_TRUE(projects.MayTakeAway(kAnn, kBobs));
  EXPECT_TRUE(projects.MayChange(kAnn, "physics"));
  EXPECT_THAT(projects.Of(kAnn), ElementsAre("physics"));
}

TEST(Projects, LetMembersMakeAndMoveNamesAndTakeAwayTheirOwn) {
  Projects projects = Physics();
  EXPECT_TRUE(projects.MayMake(kBob, "physics"));
  EXPECT_TRUE(projects.MayMove(kBob, kAnns));
  EXPECT_TRUE(projects.MayTakeAway(kBob, kBobs));
  auto refused = projects.MayTakeAway(kBob, kAnns);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("belongs to ann; the project physics belongs to user ann"));
  EXPECT_EQ(projects.MayChange(kBob, "physics").error().code, Code::kPermissionDenied);
}

TEST(Projects, AreClosedToOthersEvenToThoseWhoOnceMadeNames) {
  Projects projects = Physics();
  NamedImage eves{"physics/old:1", kEve.uid, "eve"};
  for (const Result<>& refused :
       {projects.MayMake(kEve, "physics"), projects.MayMove(kEve, eves), projects.MayTakeAway(kEve, eves)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "the project physics belongs to user ann, and you are not in it; an owner may say: slipway "
              "image project physics --member user:eve");
  }
  EXPECT_TRUE(projects.Of(kEve).empty());
  EXPECT_EQ(projects.MayChange(kEve, "chemistry").error().code, Code::kPermissionDenied);
}

TEST(Projects, ThatNobodyWasGivenAreEverybodysOrNobodysAsTheSiteSays) {
  Projects open = Physics(true), closed = Physics(false);
  EXPECT_TRUE(open.MayMake(kEve, "chemistry"));
  EXPECT_THAT(closed.MayMake(kEve, "chemistry").error().message,
              HasSubstr("slipway image project chemistry --owner user:eve"));
  EXPECT_TRUE(closed.MayMake(kEve, "eve"));
  EXPECT_FALSE(closed.MayMake(kEve, "ann"));
  NamedImage eves{"chemistry/x:1", kEve.uid, "eve"};
  EXPECT_TRUE(closed.MayMove(kEve, eves)) << "what there is can be kept up";
  EXPECT_EQ(open.MayMove(kBob, eves).error().message, "the image chemistry/x:1 belongs to eve");
  EXPECT_FALSE(open.MayTakeAway(kBob, eves));
}

TEST(Projects, HaveNobodyTwice) {
  Project project{.name = "physics", .owners = {kUserAnn}};
  project = *Changed(project, {.owners = {kUserBob}, .members = {kGroupPhys}});
  EXPECT_THAT(project.owners, ElementsAre(kUserAnn, kUserBob));
  project = *Changed(project, {.members = {kUserBob}});
  EXPECT_THAT(project.owners, ElementsAre(kUserAnn));
  EXPECT_THAT(project.members, ElementsAre(kGroupPhys, kUserBob));
  project = *Changed(project, {.leave = {kGroupPhys}});
  EXPECT_EQ(Changed(project, {.leave = {kGroupPhys}}).error().message,
            "group phys is not in the project physics");
}

TEST(Projects, AreOfABoundedNumberOfPeople) {
  ProjectChange change;
  for (std::uint32_t id = 0; id <= kProjectPeopleMax; ++id) change.members.push_back({false, id, "x"});
  EXPECT_EQ(Changed({.name = "physics"}, change).error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace slipway::store
