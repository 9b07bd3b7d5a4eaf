// SPDX-License-Identifier: Apache-2.0
// A run folder without room.
#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

struct BrokerOnAFullDisk : RealBroker {
  void MakeImage() override {
    RealBroker::MakeImage();
    UniqueFd small = MountNew("tmpfs", {{"size", "256k"}, {"mode", "0755"}}, 0).value();
    ASSERT_TRUE(AttachMount(small.get(), Open(conf.run_dir, O_PATH).value().get()));
  }
  void TearDown() override {
    if (agent) Ask(BrokerFrame::kKillStep, {1, 1, 1});
    if (!dir.empty()) ::umount2(conf.run_dir.c_str(), MNT_DETACH);
    RealBroker::TearDown();
  }
  void Fill() {
    UniqueFd file = Open(conf.run_dir + "/filler", O_WRONLY | O_CREAT, 0600).value();
    std::string page(4096, 'x');
    while (::write(file.get(), page.data(), page.size()) > 0) {
    }
  }
};

TEST_F(BrokerOnAFullDisk, AStartSaysWhatIsFullLeavesNothingAndTheNextOneGoesOn) {
  Fill();
  StepId step{1, 1, 0};
  Reply refused = Start(Credential(step));
  EXPECT_EQ(refused.kind, BrokerFrame::kError);
  EXPECT_NE(refused.message().find("No space left on device"), std::string::npos) << refused.message();
  EXPECT_NE(refused.message().find("step 1.1.0"), std::string::npos) << refused.message();
  EXPECT_TRUE(Steps().empty());
  EXPECT_NE(::access(Folder(step).c_str(), F_OK), 0);
  ASSERT_EQ(::unlink((conf.run_dir + "/filler").c_str()), 0);
  StepId next{1, 1, 1};
  EXPECT_EQ(Start(Credential(next)).kind, BrokerFrame::kStarted) << ReadFile(dir + "/log").value_or("");
}

}  // namespace
}  // namespace slipway
