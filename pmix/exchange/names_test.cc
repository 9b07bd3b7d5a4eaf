// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/names.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

std::string Ask(NameDirectory& directory, NameRequest request) {
  std::string answer = "waiting";
  // The answer of one that waits is not looked at here.
  auto into = std::make_shared<std::string*>(&answer);
  directory.Handle(std::move(request), [into](Result<std::string> got) {
    if (*into != nullptr) **into = got ? *got : "!" + got.error().message;
  });
  *into = nullptr;
  return answer;
}

NameRequest By(NameRequest::Kind kind, std::uint32_t rank, std::string world = "w") {
  return {.kind = kind, .key = "k", .value = "v", .world = std::move(world), .publisher = rank, .node = rank};
}

TEST(Names, AreThereForAllOfTheStepUntilTheirPublisherTakesThemBack) {
  NameDirectory directory;
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1)), "!no such name: k");
  EXPECT_EQ(Ask(directory, By(NameRequest::kPublish, 0)), "");
  EXPECT_EQ(Ask(directory, By(NameRequest::kPublish, 1)), "!the name k is published already");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1, "other")), "v");
  EXPECT_EQ(Ask(directory, By(NameRequest::kUnpublish, 1)), "!no such name: k");
  EXPECT_EQ(Ask(directory, By(NameRequest::kUnpublish, 0)), "");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 0)), "!no such name: k");
}

TEST(Names, AreNotReadByWhoHasGivenUpWaiting) {
  NameDirectory directory;
  NameRequest waits = By(NameRequest::kLookup, 1), once = By(NameRequest::kPublish, 0);
  waits.wait = true;
  waits.lookup = 7;
  once.life = NameLife::kFirstRead;
  EXPECT_EQ(Ask(directory, waits), "waiting");
  waits.kind = NameRequest::kGiveUp;
  EXPECT_EQ(Ask(directory, waits), "");
  EXPECT_EQ(Ask(directory, once), "");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 2)), "v");
}

TEST(Names, OfAWorldThatHasEndedAreFreeAgain) {
  NameDirectory directory;
  NameRequest request = By(NameRequest::kPublish, 0);
  request.life = NameLife::kWorld;
  Ask(directory, request);
  directory.ForgetWorld("other");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1)), "v");
  directory.ForgetWorld("w");
  EXPECT_EQ(Ask(directory, By(NameRequest::kPublish, 1)), "");
  directory.ForgetWorld("w");  // that one lives as long as the step
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 0)), "v");
}

TEST(Names, AreSeenInTheirRangeOnly) {
  NameDirectory directory;
  NameRequest request = By(NameRequest::kPublish, 0);
  request.range = NameRange::kWorld;
  Ask(directory, request);
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1, "other")), "!no such name: k");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1)), "v");
  request = By(NameRequest::kPublish, 5, "third");
  request.range = NameRange::kNode;
  EXPECT_EQ(Ask(directory, request), "");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 4, "fourth")), "!no such name: k");
}

TEST(Names, CanBeWaitedFor) {
  NameDirectory directory;
  NameRequest waiting = By(NameRequest::kLookup, 1);
  waiting.wait = true;
  std::string answer, cancelled;
  directory.Handle(waiting, [&](Result<std::string> got) { answer = *got; });
  EXPECT_EQ(answer, "");
  Ask(directory, By(NameRequest::kPublish, 0));
  EXPECT_EQ(answer, "v");
  waiting.key = "never";
  directory.Handle(waiting, [&](Result<std::string> got) { cancelled = got.error().message; });
  Ask(directory, By(NameRequest::kForget, 1));
  EXPECT_EQ(cancelled, "who asked has ended");
}

TEST(Names, EndWithTheirLife) {
  NameDirectory directory;
  NameRequest once = By(NameRequest::kPublish, 0);
  once.life = NameLife::kFirstRead;
  Ask(directory, once);
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1)), "v");
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1)), "!no such name: k");
  once.life = NameLife::kRank;
  Ask(directory, once);
  Ask(directory, By(NameRequest::kForget, 0));
  EXPECT_EQ(Ask(directory, By(NameRequest::kLookup, 1)), "!no such name: k");
}

TEST(Names, AreBounded) {
  NameDirectory directory;
  NameRequest big = By(NameRequest::kPublish, 0);
  big.value.assign(kNameBytesMax, 'x');
  EXPECT_EQ(Ask(directory, big), "!this step has published more than is kept");
}

}  // namespace
}  // namespace slipway
