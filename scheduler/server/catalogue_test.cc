// SPDX-License-Identifier: Apache-2.0
// Who may see, name, run, collect and verify which images, asked over gRPC.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "scheduler/server/test_cluster.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Base>
class Catalogued : public Base {
 protected:
  void SetUp() override {
    Base::SetUp();
    catalogue_ = v1::Catalogue::NewStub(this->folder_.UserChannel());
    images_ = v1::Images::NewStub(this->folder_.UserChannel());
    node_ = this->Join("n1");
  }
  void TearDown() override {
    node_.reset();
    Base::TearDown();
  }
  template <class Stub, class Request, class Reply>
  Result<Reply> Ask(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                    std::uint32_t uid, const Request& request) {
    grpc::ClientContext call;
    Prepare(call, this->folder_.Token(uid));
    Reply reply;
    TRY(ResultOf((stub.*method)(&call, request, &reply)));
    return reply;
  }
  using Names = v1::Catalogue::Stub;
  Result<v1::Image> Tag(std::uint32_t uid, const std::string& reference, const std::string& name,
                        const std::string& visibility = "") {
    v1::TagImageRequest request;
    request.set_reference(reference);
    request.set_name(name);
    request.set_visibility(visibility);
    return Ask(*catalogue_, &Names::Tag, uid, request);
  }
  Result<v1::ImageDetails> Show(std::uint32_t uid, const std::string& reference) {
    v1::ImageQuery request;
    request.set_reference(reference);
    return Ask(*catalogue_, &Names::Show, uid, request);
  }
  Result<v1::PolicyRule> Rule(std::uint32_t uid, bool allow, const std::string& pattern,
                              std::vector<std::string> users = {}, std::vector<std::string> keys = {}) {
    v1::AddRuleRequest request;
    request.mutable_rule()->set_allow(allow);
    request.mutable_rule()->set_pattern(pattern);
    for (const std::string& name : users) request.mutable_rule()->add_users(name);
    for (const std::string& key : keys) request.mutable_rule()->add_keys(key);
    return Ask(*catalogue_, &Names::AddRule, uid, request);
  }
  Result<v1::Project> Project(std::uint32_t uid, const std::string& name, std::vector<std::string> owners,
                              std::vector<std::string> members = {}, std::vector<std::string> leave = {}) {
    v1::ChangeProjectRequest request;
    request.set_name(name);
    for (const std::string& who : owners) request.add_owners(who);
    for (const std::string& who : members) request.add_members(who);
    for (const std::string& who : leave) request.add_leave(who);
    return Ask(*catalogue_, &Names::ChangeProject, uid, request);
  }
  Result<v1::UntagImageReply> Untag(std::uint32_t uid, const std::string& name) {
    v1::ImageQuery request;
    request.set_reference(name);
    return Ask(*catalogue_, &Names::Untag, uid, request);
  }
  std::vector<std::string> Verify(std::uint32_t uid, Result<>& how) {
    grpc::ClientContext call;
    Prepare(call, this->folder_.Token(uid));
    v1::VerifyRequest request;
    request.set_all(true);
    auto reader = catalogue_->Verify(&call, request);
    std::vector<std::string> states;
    v1::VerifyFinding finding;
    while (reader->Read(&finding)) states.push_back(finding.state());
    how = ResultOf(reader->Finish());
    return states;
  }
  std::unique_ptr<FakeNode> node_;
  std::unique_ptr<v1::Catalogue::Stub> catalogue_;
  std::unique_ptr<v1::Images::Stub> images_;
};

using ImagesOfACluster = Catalogued<Cluster>;

TEST_F(ImagesOfACluster, MayBeRunByWhomThePolicyLets) {
  ASSERT_TRUE(Tag(kAnn, folder_.image, "pol/x"));
  EXPECT_TRUE(Submit(kBob, Batch("pol/x")));
  EXPECT_EQ(Rule(kAnn, true, "pol/*").error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Rule(0, true, "pol/*", {"daemon"}));
  EXPECT_EQ(Rule(0, true, "pol/*", {"daemon"})->id(), 1) << "said twice, it is one rule";
  EXPECT_TRUE(Submit(kAnn, Batch("pol/x")));
  for (const std::string& reference :
       {std::string("pol/x"), folder_.image, "pol/x:latest@" + folder_.image}) {
    auto refused = Submit(kBob, Batch(reference));
    ASSERT_FALSE(refused) << reference;
    EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
    EXPECT_THAT(refused.error().message,
                HasSubstr("rule 1 (allow pol/* to user daemon) is for others than you"));
    EXPECT_THAT(refused.error().message, HasSubstr("slipway image allow pol/x:latest --user bin"));
  }
  EXPECT_EQ(Tag(kBob, "pol/x", "bin/x").error().code, Code::kPermissionDenied)
      << "no way round by another name";
  EXPECT_NE(Show(kBob, "pol/x")->allowed(), "");
  EXPECT_EQ(Show(kAnn, "pol/x")->allowed(), "");
  v1::RemoveRuleRequest remove;
  remove.set_id(1);
  ASSERT_TRUE(Ask(*catalogue_, &Names::RemoveRule, 0, remove));
  EXPECT_TRUE(Submit(kBob, Batch("pol/x")));
}

TEST_F(ImagesOfACluster, AreNotToldToThoseWhoMayNotSeeThem) {
  ASSERT_TRUE(Tag(kAnn, folder_.image, "priv/x", "private"));
  EXPECT_TRUE(Show(kAnn, "priv/x"));
  EXPECT_EQ(Show(kAnn, "priv/x")->image().visibility(), "private");
  EXPECT_TRUE(Show(0, "priv/x"));
  EXPECT_EQ(Show(kBob, "priv/x").error().code, Code::kNotFound);
  EXPECT_EQ(Show(kBob, folder_.image).error().code, Code::kNotFound);
  EXPECT_EQ(Submit(kBob, Batch(folder_.image)).error().code, Code::kNotFound);
  EXPECT_EQ(Tag(kBob, folder_.image, "bin/x").error().code, Code::kNotFound);
  EXPECT_THAT(Ask(*images_, &v1::Images::Stub::List, kBob, v1::ListImagesRequest())->images(), IsEmpty());
  v1::ShareImageRequest share;
  share.set_name("priv/x");
  share.set_visibility("public");
  EXPECT_EQ(Ask(*catalogue_, &Names::Share, kBob, share).error().code, Code::kNotFound);
  ASSERT_TRUE(Ask(*catalogue_, &Names::Share, kAnn, share));
  EXPECT_TRUE(Submit(kBob, Batch("priv/x")));
  share.set_visibility("everybody");
  EXPECT_EQ(Ask(*catalogue_, &Names::Share, kAnn, share).error().code, Code::kInvalidArgument);
}

TEST_F(ImagesOfACluster, ThatSomebodyIsAboutToUseAreNotCollected) {
  ASSERT_TRUE(Submit(kAnn, Batch(folder_.image)));
  v1::CollectRequest collect;
  collect.set_run(true);
  auto collected = Ask(*catalogue_, &Names::Collect, 0, collect);
  ASSERT_TRUE(collected) << collected.error().message;
  EXPECT_THAT(collected->images(), IsEmpty());
  EXPECT_TRUE(Show(kAnn, folder_.image));
}

TEST_F(ImagesOfACluster, ThatNobodyNeedsAreTakenAwayWhenAskedTo) {
  v1::CollectRequest collect;
  auto found = Ask(*catalogue_, &Names::Collect, 0, collect);
  ASSERT_EQ(found->images_size(), 1) << "the fixture's image has no name and no job";
  EXPECT_EQ(Ask(*catalogue_, &Names::Collect, kAnn, collect)->images_size(), 0) << "it is not Ann's";
  EXPECT_TRUE(Show(kAnn, folder_.image)) << "it was only looked";
  collect.set_run(true);
  EXPECT_EQ(Ask(*catalogue_, &Names::Collect, 0, collect)->images_size(), 1);
  EXPECT_EQ(Show(kAnn, folder_.image).error().code, Code::kNotFound);
  EXPECT_EQ(Submit(kAnn, Batch(folder_.image)).error().code, Code::kNotFound);
  collect.set_unused_s(-1);
  EXPECT_EQ(Ask(*catalogue_, &Names::Collect, 0, collect).error().code, Code::kInvalidArgument);
}

TEST_F(ImagesOfACluster, AreChangedByThoseWhoAreInTheirProject) {
  ASSERT_TRUE(Tag(kBob, folder_.image, "team/before"));
  EXPECT_EQ(Project(kAnn, "team", {"user:daemon"}).error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Project(0, "team", {"user:daemon"}));
  ASSERT_TRUE(Tag(kAnn, folder_.image, "team/x", "private"));
  for (const auto& refused : {Tag(kBob, folder_.image, "team/y"), Tag(kBob, folder_.image, "team/before")}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
    EXPECT_THAT(refused.error().message, HasSubstr("slipway image project team --member user:bin"));
  }
  EXPECT_EQ(Untag(kBob, "team/before").error().code, Code::kPermissionDenied);
  EXPECT_EQ(Show(kBob, "team/x").error().code, Code::kNotFound);
  EXPECT_EQ(Project(kBob, "team", {"user:bin"}).error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Project(kAnn, "team", {}, {"user:bin"}));
  EXPECT_TRUE(Show(kBob, "team/x")) << "who is in a project sees its names";
  auto moved = Tag(kBob, folder_.image, "team/x");
  ASSERT_TRUE(moved) << moved.error().message;
  EXPECT_EQ(moved->owner(), "daemon") << "whoever moves a name";
  EXPECT_EQ(Untag(kBob, "team/x").error().code, Code::kPermissionDenied);
  EXPECT_TRUE(Untag(kAnn, "team/before")) << "an owner, what a member made";
  EXPECT_EQ(Project(kAnn, "team", {}, {}, {"user:daemon"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Project(kAnn, "team", {"user:no-such-account"}).error().code, Code::kNotFound);
  EXPECT_EQ(Project(0, "team/x", {"user:bin"}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Project(0, "team", {"bin"}).error().code, Code::kInvalidArgument);
  auto list = Ask(*catalogue_, &Names::ListProjects, kBob, v1::ListProjectsRequest());
  ASSERT_EQ(list->projects_size(), 1);
  EXPECT_THAT(list->projects(0).owners(), ElementsAre("user:daemon"));
  EXPECT_THAT(list->projects(0).members(), ElementsAre("user:bin"));
  v1::OpenProjectRequest open;
  open.set_name("team");
  EXPECT_EQ(Ask(*catalogue_, &Names::OpenProject, kAnn, open).error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Ask(*catalogue_, &Names::OpenProject, 0, open));
  EXPECT_EQ(Show(kBob, "team/x").error().code, Code::kNotFound) << "it is private again";
  ASSERT_TRUE(Tag(0, folder_.image, "others/x"));
  EXPECT_TRUE(Tag(kBob, folder_.image, "team/y"));
}

TEST_F(ImagesOfACluster, AreProvedWholeOrNotRun) {
  ASSERT_TRUE(Tag(kAnn, folder_.image, "ver/x"));
  Result<> how;
  EXPECT_THAT(Verify(0, how), ElementsAre("whole", "whole"));
  EXPECT_TRUE(how);
  EXPECT_THAT(Verify(kAnn, how), IsEmpty());
  EXPECT_EQ(how.error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Submit(kAnn, Batch("ver/x")));  // its use gives it a row
  std::string path = Cat(folder_.path, "/state/images/sha256-", folder_.image.substr(7));
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  ASSERT_TRUE(WriteFileAtomically(path, "not really a squashfS"));
  EXPECT_THAT(Verify(0, how), ElementsAre("damaged", "whole"));
  auto refused = Submit(kAnn, Batch("ver/x"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is damaged on the controller"));
}

class SmallCluster : public Cluster {
 protected:
  std::string ControllerSettings() const override {
    return "image_quota_user = 10\nimage_quota_project = 30\n";
  }
};
using ImagesOfASmallCluster = Catalogued<SmallCluster>;

TEST_F(ImagesOfASmallCluster, TakeUpNoMoreThanTheirOwnersMay) {
  auto none = Ask(*catalogue_, &Names::Usage, kAnn, v1::UsageRequest());
  ASSERT_EQ(none->subjects_size(), 1) << "what he may is told before he has anything";
  EXPECT_EQ(none->subjects(0).subject(), "user:daemon");
  EXPECT_EQ(none->subjects(0).limit_bytes(), 10U);
  auto refused = Tag(kAnn, folder_.image, "quota/x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("your images would take up 21 B of 10 B"));
  v1::SetLimitRequest limit;
  limit.set_subject("user:daemon");
  limit.set_bytes(100);
  EXPECT_EQ(Ask(*catalogue_, &Names::SetLimit, kAnn, limit).error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Ask(*catalogue_, &Names::SetLimit, 0, limit));
  ASSERT_TRUE(Tag(kAnn, folder_.image, "quota/x"));
  EXPECT_TRUE(Tag(kAnn, folder_.image, "quota/y")) << "the same bytes count once";
  auto usage = Ask(*catalogue_, &Names::Usage, kAnn, v1::UsageRequest());
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> told;
  for (const v1::SubjectUsage& one : usage->subjects())
    told[one.subject()] = {one.bytes(), one.limit_bytes()};
  EXPECT_EQ(told["user:daemon"], (std::pair<std::uint64_t, std::uint64_t>{21, 100}));
  EXPECT_EQ(told["project:quota"], (std::pair<std::uint64_t, std::uint64_t>{21, 30}));
  limit.set_subject("user:nobody-of-that-name");
  EXPECT_EQ(Ask(*catalogue_, &Names::SetLimit, 0, limit).error().code, Code::kNotFound);
}

TEST_F(ImagesOfASmallCluster, CountForWhomGaveThemTheirNames) {
  v1::SetLimitRequest limit;
  limit.set_subject("user:daemon");
  limit.set_bytes(100);
  ASSERT_TRUE(Ask(*catalogue_, &Names::SetLimit, 0, limit));
  ASSERT_TRUE(Project(0, "team", {"user:daemon"}, {"user:bin"}));
  ASSERT_TRUE(Tag(kAnn, folder_.image, "team/x"));
  auto refused = Tag(kBob, folder_.image, "team/x");
  ASSERT_FALSE(refused) << "a member's moves are his own";
  EXPECT_THAT(refused.error().message, HasSubstr("your images would take up 21 B of 10 B"));
}

class ClosedCluster : public Cluster {
 protected:
  std::string ControllerSettings() const override { return "image_projects_open = false\n"; }
};
using ImagesOfAClosedCluster = Catalogued<ClosedCluster>;

TEST_F(ImagesOfAClosedCluster, AreNamedInProjectsThatWereGivenOrInOnesOwn) {
  EXPECT_EQ(Tag(kAnn, folder_.image, "team/x").error().code, Code::kPermissionDenied);
  EXPECT_EQ(Tag(kAnn, folder_.image, "x").error().code, Code::kPermissionDenied);
  EXPECT_TRUE(Tag(kAnn, folder_.image, "daemon/x"));
  EXPECT_EQ(Tag(kBob, folder_.image, "daemon/y").error().code, Code::kPermissionDenied);
  EXPECT_TRUE(Tag(0, folder_.image, "team/x"));
  ASSERT_TRUE(Project(0, "team", {"user:daemon"}));
  EXPECT_TRUE(Tag(kAnn, folder_.image, "team/y"));
}

// What a release before this one left.
class TakenOverCluster : public Cluster {
 protected:
  void SetUp() override {
    std::string imports = folder_.path + "/state/imports";
    ASSERT_TRUE(MakeDirectories(imports));
    ASSERT_TRUE(WriteFileAtomically(Cat(imports, "/", DigestOf("source").substr(7)), folder_.image + "\n"));
    ASSERT_TRUE(WriteFileAtomically(imports + "/nonsense", "x"));
    Cluster::SetUp();
  }
};
using ImagesOfATakenOverCluster = Catalogued<TakenOverCluster>;

TEST_F(ImagesOfATakenOverCluster, AreFoundByWhatTheyWereImportedFrom) {
  v1::FindImageRequest find;
  find.set_source_digest(DigestOf("source"));
  auto found = Ask(*images_, &v1::Images::Stub::Find, kAnn, find);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->digest(), folder_.image);
  EXPECT_NE(::access((folder_.path + "/state/imports").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace slipway::scheduler
