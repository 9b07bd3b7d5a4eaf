// SPDX-License-Identifier: Apache-2.0
#include "agent/node/name_lookup.h"

#include <gtest/gtest.h>

#include "agent/node/fakes_test.h"

namespace slipway {
namespace {

using Found = Result<std::vector<TcpAddress>>;

TEST(NameLookup, NumbersAreAnsweredWithinTheCall) {
  auto loop = std::move(*EpollLoop::Make());
  std::size_t addresses = 0;
  NameLookup lookup(*loop, "127.0.0.1:7000",
                    [&](const Found& found) { addresses = found ? found->size() : 0; });
  EXPECT_EQ(addresses, 1U);
}

TEST(NameLookup, ANameIsAnsweredFromTheLoopAlone) {
  auto loop = std::move(*EpollLoop::Make());
  std::size_t answers = 0;
  bool turning = false;
  NameLookup lookup(*loop, "localhost:7000", [&](const Found& found) {
    EXPECT_TRUE(turning);
    EXPECT_TRUE(found && !found->empty());
    ++answers;
  });
  turning = true;
  EXPECT_TRUE(TurnUntil(*loop, [&] { return answers > 0; }));
  EXPECT_EQ(answers, 1U);
}

TEST(NameLookup, WhatIsNoAddressIsAnErrorThatNamesIt) {
  auto loop = std::move(*EpollLoop::Make());
  std::string error;
  NameLookup lookup(*loop, "localhost",
                    [&](const Found& found) { error = found ? "found" : found.error().message; });
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !error.empty(); }));
  EXPECT_NE(error.find("localhost"), std::string::npos) << error;
}

TEST(NameLookup, WhoIsGoneIsNotAnswered) {
  auto loop = std::move(*EpollLoop::Make());
  for (int i = 0; i < 20; ++i)
    NameLookup(*loop, "localhost:7000", [](const Found&) { ADD_FAILURE() << "nobody asked any more"; });
  bool answered = false;
  NameLookup last(*loop, "localhost:7000", [&](const Found&) { answered = true; });
  EXPECT_TRUE(TurnUntil(*loop, [&] { return answered; }));
}

}  // namespace
}  // namespace slipway
