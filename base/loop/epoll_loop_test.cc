// SPDX-License-Identifier: Apache-2.0
#include "base/loop/epoll_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <thread>

#include "base/os/process.h"

namespace slipway {
namespace {

using std::chrono::milliseconds;

TEST(EpollLoop, PostsFromOtherThreadsRunInOrderOnTheOwner) {
  auto loop = *EpollLoop::Make();
  std::vector<int> seen;
  auto owner = std::this_thread::get_id();
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) {
      loop->Post([&, i] {
        EXPECT_EQ(std::this_thread::get_id(), owner);
        seen.push_back(i);
      });
    }
    loop->Stop();
  });
  loop->Run();
  other.join();
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(EpollLoop, TimersRunInTimeOrderAndCancelledOnesDoNot) {
  auto loop = *EpollLoop::Make();
  std::string order;
  loop->After(milliseconds(2), [&] { order += 'b'; });
  loop->After(milliseconds(1), [&] { order += 'a'; });
  auto never = loop->After(milliseconds(1), [&] { order += 'x'; });
  loop->Cancel(never);
  loop->After(milliseconds(3), [&] { loop->Stop(); });
  loop->Run();
  EXPECT_EQ(order, "ab");
}

TEST(EpollLoop, ADescriptorCallbackMayRemoveItself) {
  auto loop = *EpollLoop::Make();
  PipeEnds pipe = *MakePipe();
  int calls = 0;
  Loop::WatchId watch;
  watch = *loop->Watch(pipe.read.get(), EPOLLIN, [&](std::uint32_t) {
    ++calls;
    loop->Unwatch(watch);
    loop->Stop();
  });
  ASSERT_TRUE(WriteAll(pipe.write.get(), "x"));
  loop->Run();
  EXPECT_EQ(calls, 1);
}

TEST(EpollLoop, AChildsEndIsSeenThroughItsPidfd) {
  auto loop = *EpollLoop::Make();
  Process child = *Spawn({.argv = {"/bin/sh", "-c", "exit 7"}});
  int code = -1;
  ASSERT_TRUE(loop->Watch(child.pidfd(), EPOLLIN, [&](std::uint32_t) {
    code = (*child.Poll())->exit_code();
    loop->Stop();
  }));
  loop->Run();
  EXPECT_EQ(code, 7);
}

}  // namespace
}  // namespace slipway
