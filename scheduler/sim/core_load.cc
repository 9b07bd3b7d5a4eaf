// SPDX-License-Identifier: Apache-2.0
// CPU time of one core. Jobs are of 300 users, with ten limits, shared nodes and memory to the MiB; the
// cluster is full of others before they come.
#include "scheduler/sim/core_load.h"

#include <algorithm>
#include <cstdio>

#include "scheduler/core/controller.h"
#include "scheduler/sim/arguments.h"
#include "scheduler/sim/measure.h"
#include "scheduler/sim/rng.h"

namespace slipway::scheduler {
namespace {

class CoreLoad {
 public:
  CoreLoad(std::uint32_t nodes, std::uint32_t queued) : nodes_(nodes), queued_(queued) {
    Site site;
    site.plan.reservations = 100;
    site.weights = {.age = 100, .fair_share = 1000};
    controller_ =
        std::make_unique<Controller>(State{}, ControllerOptions{.site = std::make_shared<Site>(site)});
    (void)controller_->Begin(1, now_);
    for (std::uint32_t i = 0; i < nodes_; ++i) {
      NodeFacts facts{.cores = 64, .memory_bytes = std::uint64_t{256} << 30};
      Do(RegisterNode{Cat("n", i), i + 1, facts, "boot", "", {}, {}});
    }
  }

  void Run() {
    for (std::uint32_t i = 0; i < nodes_; ++i) Do(SubmitJob{{}, Spec(true)});
    Do(Tick{});
    double submit_ms = Timed([&] {
      for (std::uint32_t i = 0; i < queued_; ++i) Do(SubmitJob{{}, Spec(false)});
    });
    double pass_ms = Timed([&] { Do(Tick{}); });
    std::vector<double> why_ms = Asked();
    double account_ms = Timed([&] {
      Do(ChangeAccount{{}, {0, true}, AccountSet{{"physics", kRootAccount, 2, "", {}}}});
      Do(Tick{});
    });
    Reservation reservation{
        .name = "maint", .nodes = {"n1"}, .start = now_.PlusSeconds(4 * 86400), .duration_s = 3600};
    reservation.maintenance = true;
    double reservation_ms = Timed([&] {
      Do(ChangeReservation{{}, {0, true}, ReservationRequest{.wanted = reservation, .create = true}});
      Do(Tick{});
    });
    std::string bytes;
    double snapshot_ms = Timed([&] { bytes = EncodeState(controller_->state()); });
    // The thread that makes a snapshot has a state of its own for as long.
    std::size_t before = HeapBytes();
    Result<State> second = DecodeState(bytes);
    CHECK(second.has_value() && second->jobs.size() == controller_->state().jobs.size());
    double second_mb = static_cast<double>(HeapBytes() - before) / 1e6;
    std::printf(
        "{\"nodes\": %u, \"pending\": %zu, \"active\": %zu, \"submit_us\": %.2f, \"pass_ms\": %.1f, "
        "\"why_ms\": %.1f, \"why_max_ms\": %.1f, \"account_change_ms\": %.1f, \"reservation_change_ms\": "
        "%.1f, \"snapshot_ms\": %.1f, "
        "\"snapshot_mb\": %.1f, \"second_state_mb\": %.1f}\n",
        nodes_, controller_->state().pending.size(), controller_->state().active.size(),
        1000 * submit_ms / queued_, pass_ms, Quantile(why_ms, 0.5), Quantile(why_ms, 1), account_ms,
        reservation_ms, snapshot_ms, static_cast<double>(bytes.size()) / 1e6, second_mb);
  }

 private:
  // `slipway why` of jobs from all over the queue.
  std::vector<double> Asked() {
    constexpr std::size_t kAsked = 40;
    const std::size_t every = controller_->state().pending.size() / kAsked + 1;
    std::vector<double> times;
    std::size_t i = 0;
    for (const PendingKey& key : controller_->state().pending) {
      if (i++ % every == 0) times.push_back(Timed([&] { (void)controller_->Explain(key.job); }));
    }
    return times;
  }
  template <class Work>
  static double Timed(Work work) {
    double begin = CpuMs();
    work();
    return CpuMs() - begin;
  }
  void Do(const Input& input) { (void)controller_->Handle(input, now_ = {now_.us + 10}); }
  JobSpec Spec(bool whole) {
    constexpr std::uint32_t kLimits_s[] = {600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 129600, 172800};
    JobSpec spec;
    spec.name = "load";
    std::uint32_t uid = 20000 + static_cast<std::uint32_t>(rng_.Below(300));
    spec.user = {uid, uid, {uid}, Cat("user", uid), "/home", "/bin/sh"};
    spec.resources.tasks = whole ? 64 : rng_.Between(1, 32);
    spec.resources.nodes_min = 1;
    if (!whole) spec.resources.memory_bytes_per_node = std::uint64_t{rng_.Between(1024, 65536)} << 20;
    spec.time_limit_s = whole ? 172800 : kLimits_s[rng_.Below(std::size(kLimits_s))];
    spec.command.script = "#!/bin/sh\ntrue\n";
    spec.command.env = {"PATH=/usr/bin:/bin", "HOME=/home", "LANG=C"};
    return spec;
  }

  std::uint32_t nodes_, queued_;
  Rng rng_{1};
  Time now_{1'700'000'000'000'000};
  std::unique_ptr<Controller> controller_;
};

}  // namespace

int CoreLoadCommand(const std::vector<std::string>& words) {
  auto parse = [&]() -> Result<CoreLoad> {
    Arguments given = TRY(Arguments::Parse(words, {"--nodes", "--queued"}, {"--json"}));
    auto nodes = static_cast<std::uint32_t>(TRY(given.Number("--nodes", 10'000, 1, 1'000'000)));
    auto queued = static_cast<std::uint32_t>(TRY(given.Number("--queued", 100'000, 1, 10'000'000)));
    return CoreLoad(nodes, queued);
  };
  Result<CoreLoad> load = parse();
  if (!load) {
    std::fprintf(stderr, "slipway-sim core: %s; see slipway-sim --help\n", load.error().message.c_str());
    return 2;
  }
  load->Run();
  return 0;
}

}  // namespace slipway::scheduler
