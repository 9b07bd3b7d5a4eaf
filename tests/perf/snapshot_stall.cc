// SPDX-License-Identifier: Apache-2.0
// The slowest commit while a snapshot as large as that of 100,000 jobs is saved, beside the slowest without
// one: perf_snapshot_stall FOLDER (on the disk that is meant).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"
#include "scheduler/store/sqlite_store.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kSnapshotBytes = 57 << 20;
constexpr int kRecords = 20'000;  // that it replaces

class Stall {
 public:
  Stall(EpollLoop& loop, Store& store) : loop_(loop), store_(store) {}

  // Of commits one behind the other: `count` of them, or until a snapshot is saved (0).
  double SlowestMs(int count, bool* saved = nullptr) {
    double slowest = 0;
    for (int i = 0; saved == nullptr ? i < count : !*saved; ++i) {
      auto begin = std::chrono::steady_clock::now();
      store_.Append({std::string(600, 'r')}, 1, [&](const Result<Revision>& result) {
        CHECK(result.has_value());
        loop_.Stop();
      });
      loop_.Run();
      slowest = std::max(
          slowest,
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    return slowest;
  }

 private:
  EpollLoop& loop_;
  Store& store_;
};

Result<> Main(const std::string& under) {
  auto loop = TRY(EpollLoop::Make());
  std::string folder = TRY(MakeTempDirectory(under, "stall"));
  {
    auto store = TRY(OpenSqliteStore({.path = folder + "/state.db"},
                                     [&](std::function<void()> task) { loop->Post(std::move(task)); }));
    TRY(store->BeginEpoch(0));
    for (int i = 0; i < kRecords; ++i) store->Append({std::string(600, 'r')}, 1, nullptr);
    Stall stall(*loop, *store);
    (void)stall.SlowestMs(1);
    double without = stall.SlowestMs(300);
    bool saved = false;
    store->SaveSnapshot({kRecords, std::string(kSnapshotBytes, 's')}, 1, [&](const Result<>& result) {
      CHECK(result.has_value());
      saved = true;
    });
    double beside = stall.SlowestMs(0, &saved);
    double behind = stall.SlowestMs(300);  // while what it replaced is dropped
    std::printf("{\"slowest_ms\": {\"without\": %.1f, \"beside\": %.1f, \"behind\": %.1f}}\n", without,
                beside, behind);
  }
  return RemoveTree(folder);
}

}  // namespace
}  // namespace slipway::scheduler

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: perf_snapshot_stall FOLDER\n");
    return 2;
  }
  auto done = slipway::scheduler::Main(argv[1]);
  if (!done) std::fprintf(stderr, "perf_snapshot_stall: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
