// SPDX-License-Identifier: Apache-2.0
#include "agent/health/kernel_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

namespace slipway {
namespace {

// A named pipe gives what was written, and nothing when there is no more, as the kernel's does.
TEST(KernelLog, GivesWhatCameSinceTheLastLookAndNeverWaits) {
  std::string dir = *MakeTempDirectory("/tmp", "slipway-kmsg-"), path = dir + "/kmsg";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  auto log = KernelLog::Open(path);
  ASSERT_TRUE(log) << log.error().message;
  UniqueFd writer = *Open(path, O_WRONLY | O_NONBLOCK);
  std::vector<std::string> records;
  auto read = [&] { log->Read([&](std::string_view record) { records.emplace_back(record); }); };
  read();
  EXPECT_TRUE(records.empty());
  ASSERT_TRUE(WriteAll(writer.get(), "6,1,1,-;one\n"));
  read();
  ASSERT_TRUE(WriteAll(writer.get(), "6,2,2,-;two\n"));
  read();
  EXPECT_EQ(records, (std::vector<std::string>{"6,1,1,-;one\n", "6,2,2,-;two\n"}));
  EXPECT_TRUE(RemoveTree(dir));
}

TEST(KernelLog, WhatWasHandedOverIsReadWhereItCannotBeOpened) {
  auto given = Open("/dev/kmsg", O_RDONLY);
  if (!given) GTEST_SKIP() << given.error().message;
  auto log = KernelLog::Open("/does/not/exist", given->get());
  ASSERT_TRUE(log) << log.error().message;
  log->Read([](std::string_view) {});
  EXPECT_GE(::fcntl(given->get(), F_GETFD), 0) << "it is there for the next one";
}

TEST(KernelLog, SomethingElseThatWasHandedOverIsNotTakenForIt) {
  UniqueFd given = *Open("/dev/null", O_RDONLY);
  EXPECT_FALSE(KernelLog::Open("/does/not/exist", given.get()));
}

TEST(KernelLog, OneThatIsNotThereOrNotOursSaysSo) { EXPECT_FALSE(KernelLog::Open("/does/not/exist")); }

}  // namespace
}  // namespace slipway
