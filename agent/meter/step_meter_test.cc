// SPDX-License-Identifier: Apache-2.0
#include "agent/meter/step_meter.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/loop/epoll_loop.h"
#include "hooks/host/testdata/fake_host.h"

namespace slipway {
namespace {

constexpr StepId kStep{7, 1, 0};

class StepMeterTest : public testing::Test {
 protected:
  void SetUp() override {
    host_.Files({{"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", *ReadFile(FAKE_NVML, 64 << 20)}});
    PutEnergy(1'000'000);
  }
  void PutEnergy(int uj) {
    const std::string folder = "/sys/class/powercap/intel-rapl:0";
    host_.Files({{folder + "/name", "package-0\n"},
                 {folder + "/max_energy_range_uj", "262143328850\n"},
                 {folder + "/energy_uj", Cat(uj, "\n")}});
  }
  void Make(const std::string& program) {
    meter_ = *StepMeter::Make(*loop_, {.host_root = host_.root(),
                                       .gpu_program = program,
                                       .gpu_ids = {"GPU-1", "MIG-5"},
                                       .gpu_every = std::chrono::milliseconds(10)});
  }
  // Long enough for a look or two; who needs more tries again.
  void Turn(std::chrono::milliseconds time) {
    loop_->After(time, [this] { loop_->Stop(); });
    loop_->Run();
  }
  FakeHost host_;
  std::unique_ptr<EpollLoop> loop_ = std::move(*EpollLoop::Make());
  std::unique_ptr<StepMeter> meter_;
};

TEST_F(StepMeterTest, GpusAreLookedAtByAProgramOfTheirOwn) {
  Make(SLIPWAY_GPU);
  MeteredUse use;
  for (int tries = 0; tries < 100 && use.gpu_energy_mj == 0; ++tries) {
    meter_->Began(kStep, {"GPU-1", "MIG-5", "GPU-of-nobody"});
    Turn(std::chrono::milliseconds(100));
    use = meter_->Ended(kStep, 0);
  }
  EXPECT_GT(use.gpu_watched_us, 0U);
  EXPECT_NEAR(static_cast<double>(use.gpu_busy_us), static_cast<double>(use.gpu_watched_us) / 2, 100);
  EXPECT_EQ(use.gpu_energy_mj % 300, 0U) << "as the fake counts";
  EXPECT_EQ(use.gpu_memory_peak_bytes, 3ULL << 30);
  EXPECT_EQ(use.node_energy_mj, 0U);
}

TEST_F(StepMeterTest, EnergyIsReadAtBothEndsOfAStep) {
  Make("");
  meter_->Began(kStep, {});
  PutEnergy(4'000'000);
  EXPECT_EQ(meter_->Ended(kStep, 0).energy_mj, 3000U);
  EXPECT_EQ(meter_->Ended(kStep, 0), MeteredUse()) << "once";
}

TEST_F(StepMeterTest, AProgramThatEndsOrIsNotThereCostsTheFiguresOnly) {
  for (const char* program : {"/bin/true", "/does/not/exist"}) {
    Make(program);
    meter_->Began(kStep, {"GPU-1"});
    Turn(std::chrono::milliseconds(50));
    PutEnergy(5'000'000);
    MeteredUse use = meter_->Ended(kStep, 0);
    EXPECT_EQ(use.gpu_watched_us, 0U);
    EXPECT_GT(use.energy_mj, 0U);
    PutEnergy(1'000'000);
  }
}

}  // namespace
}  // namespace slipway
