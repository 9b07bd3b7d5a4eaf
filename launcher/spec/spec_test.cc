// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_protocol.h"
#include "launcher/spec/step_spec.h"

namespace slipway {
namespace {

LaunchSpec Small() {
  LaunchSpec spec;
  spec.argv = {"/bin/true"};
  spec.env = {"PATH=/bin"};
  spec.fd_count = 2;
  spec.tasks = {Task{.rank = 0, .stdout_fd = 1}};
  return spec;
}

TEST(LaunchSpec, SurvivesTheRoundTrip) {
  auto back = DecodeLaunchSpec(EncodeLaunchSpec(Small()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->argv, Small().argv);
  EXPECT_EQ(back->tasks[0].stdout_fd, 1);
}

TEST(LaunchSpec, EveryTruncationIsRefused) {
  std::string bytes = EncodeLaunchSpec(Small());
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(DecodeLaunchSpec(bytes.substr(0, n))) << n;
  EXPECT_FALSE(DecodeLaunchSpec(bytes + "x"));
}

TEST(LaunchSpec, NamesTheFieldThatIsWrong) {
  LaunchSpec spec = Small();
  spec.tasks[0].stdin_fd = 2;
  auto refused = DecodeLaunchSpec(EncodeLaunchSpec(spec));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("tasks: no such descriptor"), std::string::npos);
  spec = Small();
  spec.env = {"=x"};
  EXPECT_FALSE(DecodeLaunchSpec(EncodeLaunchSpec(spec)));
  spec = Small();
  spec.mounts = {Mount{.source = "/a", .target = "relative"}};
  EXPECT_FALSE(DecodeLaunchSpec(EncodeLaunchSpec(spec)));
}

TEST(StepSpec, RanksMustBeEachOnce) {
  StepSpec spec;
  spec.nodes = {"n1", "n2"};
  spec.tasks_per_node = {1, 1};
  spec.ranks = {{0}, {1}};
  spec.argv = {"true"};
  EXPECT_TRUE(DecodeStepSpec(Encode(spec)));
  spec.ranks = {{0}, {0}};
  EXPECT_FALSE(DecodeStepSpec(Encode(spec)));
}

TEST(Credential, OnlyTheControllersSignatureCounts) {
  auto pair = MakeEd25519KeyPair();
  auto other = MakeEd25519KeyPair();
  SigningKey key = *SigningKey::FromPem(pair->private_key);
  std::vector<VerifyingKey> keys = {*VerifyingKey::FromPem(pair->public_key)};
  std::vector<VerifyingKey> strangers = {*VerifyingKey::FromPem(other->public_key)};
  LaunchCredential credential;
  credential.node = "n1";
  credential.step = {42, 1, 0};
  SignedCredential sealed = SignCredential(credential, key);
  auto back = VerifyCredential(sealed, keys);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->step, (StepId{42, 1, 0}));
  EXPECT_FALSE(VerifyCredential(sealed, strangers));
  for (std::size_t i = 0; i < sealed.body.size(); ++i) {
    SignedCredential forged = sealed;
    forged.body[i] = static_cast<char>(forged.body[i] ^ 1);
    EXPECT_FALSE(VerifyCredential(forged, keys)) << "byte " << i;
  }
}

TEST(StepId, TextAndBack) {
  for (StepId id : {StepId{1, 2, 3}, StepId{9, 1, kBatchStep}}) EXPECT_EQ(*ParseStepId(ToString(id)), id);
  for (const char* bad :
       {"", "1", "1.2", "1.2.", "1.2.x", "a.b.c", "1.2.3.4", "-1.2.3", "01.2.3", "1.2.00", "1.2.4294967294"})
    EXPECT_FALSE(ParseStepId(bad)) << bad;
}

}  // namespace
}  // namespace slipway
