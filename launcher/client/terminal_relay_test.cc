// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal_relay.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace slipway {
namespace {

// A terminal to sit at: what is typed goes into `hand`, what is shown comes out of it.
struct Desk {
  UniqueFd hand, terminal;
  Desk() : hand(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    CHECK(hand && ::grantpt(hand.get()) == 0 && ::unlockpt(hand.get()) == 0);
    terminal = std::move(*Open(::ptsname(hand.get()), O_RDWR | O_NOCTTY));
    winsize size{.ws_row = 33, .ws_col = 99};
    CHECK(::ioctl(terminal.get(), TIOCSWINSZ, &size) == 0);
  }
  bool canonical() const {
    termios settings{};
    ::tcgetattr(terminal.get(), &settings);
    return (settings.c_lflag & ICANON) != 0;
  }
};

void Turn(TerminalRelay& relay, int timeout_ms = 5000) {
  pollfd fds[TerminalRelay::kPolled];
  relay.Prepare(fds);
  ASSERT_GT(::poll(fds, TerminalRelay::kPolled, timeout_ms), 0);
  relay.Handle(fds);
}

TEST(TerminalRelay, CarriesBothWaysAndGivesTheTerminalBack) {
  Desk desk;
  {
    TerminalRelay relay = std::move(*TerminalRelay::Open(desk.terminal.get(), desk.terminal.get()));
    UniqueFd process = std::move(*Dup(relay.process_fd()));
    relay.ReleaseProcessSide();
    winsize size{};
    ASSERT_EQ(::ioctl(process.get(), TIOCGWINSZ, &size), 0);
    EXPECT_EQ(size.ws_row, 33);
    EXPECT_EQ(size.ws_col, 99);
    ASSERT_TRUE(relay.Begin());
    EXPECT_FALSE(desk.canonical());
    ASSERT_TRUE(WriteAll(desk.hand.get(), "typed\r"));
    Turn(relay);
    char buffer[64] = {};
    ASSERT_EQ(::read(process.get(), buffer, sizeof buffer), 6);
    EXPECT_STREQ(buffer, "typed\n");
    ASSERT_TRUE(WriteAll(process.get(), "last words"));
    process.reset();
    relay.Drain();
    std::string shown;
    while (shown.find("last words") == std::string::npos) {
      ssize_t got = ::read(desk.hand.get(), buffer, sizeof buffer);
      ASSERT_GT(got, 0);
      shown.append(buffer, static_cast<std::size_t>(got));
    }
  }
  EXPECT_TRUE(desk.canonical());
}

TEST(TerminalRelay, FollowsTheSize) {
  Desk desk;
  TerminalRelay relay = std::move(*TerminalRelay::Open(desk.terminal.get(), desk.terminal.get()));
  winsize size{.ws_row = 10, .ws_col = 20};
  ASSERT_EQ(::ioctl(desk.terminal.get(), TIOCSWINSZ, &size), 0);
  relay.Resize();
  winsize inside{};
  ASSERT_EQ(::ioctl(relay.process_fd(), TIOCGWINSZ, &inside), 0);
  EXPECT_EQ(inside.ws_col, 20);
}

TEST(TerminalRelay, HoldsInputBackFromAProcessThatDoesNotRead) {
  Desk desk;
  TerminalRelay relay = std::move(*TerminalRelay::Open(desk.terminal.get(), desk.terminal.get()));
  // The line discipline takes a few kilobytes; then typing stays where it is, and nothing blocks.
  termios raw{};
  ASSERT_EQ(::tcgetattr(relay.process_fd(), &raw), 0);
  ::cfmakeraw(&raw);
  ASSERT_EQ(::tcsetattr(relay.process_fd(), TCSANOW, &raw), 0);
  ASSERT_TRUE(relay.Begin() && SetNonblocking(desk.hand.get()));
  std::string much(4096, 'x');
  bool input_polled = true;
  for (int i = 0; i < 200 && input_polled; ++i) {
    [[maybe_unused]] auto written = ::write(desk.hand.get(), much.data(), much.size());
    pollfd fds[TerminalRelay::kPolled];
    relay.Prepare(fds);
    input_polled = fds[0].fd >= 0;
    if (input_polled && ::poll(fds, TerminalRelay::kPolled, 1000) > 0) relay.Handle(fds);
  }
  EXPECT_FALSE(input_polled);
}

TEST(TerminalRelay, RefusesWhatIsNoTerminal) {
  PipeEnds pipe = std::move(*MakePipe());
  EXPECT_FALSE(TerminalRelay::Open(pipe.read.get(), pipe.write.get()));
}

}  // namespace
}  // namespace slipway
