// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/report.h"

#include <unistd.h>

#include <ctime>

namespace slipway {
namespace {

std::int64_t Now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace

Report::Report(int control_fd) : control_fd_(control_fd), lap_began_ns_(Now_ns()) {}

void Report::EndLap(std::string name) {
  std::int64_t now_ns = Now_ns();
  laps_.push_back({std::move(name), static_cast<std::uint32_t>((now_ns - lap_began_ns_) / 1000)});
  lap_began_ns_ = now_ns;
}

void Report::Warn(const std::string& line) {
  [[maybe_unused]] auto nobody_listens = Send(InitFrame::kWarning, line);
}

void Report::Die(const std::string& line, int exit_code) {
  [[maybe_unused]] auto nobody_listens = Send(InitFrame::kFailed, InitFailed{exit_code, line});
  ::_exit(kExitOurs);
}

}  // namespace slipway
