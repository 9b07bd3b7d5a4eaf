// SPDX-License-Identifier: Apache-2.0
#include "agent/node/convert.h"

#include <gtest/gtest.h>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

v1::LaunchStep Launch(int tasks) {
  v1::LaunchStep launch;
  launch.mutable_step()->set_job(42);
  launch.mutable_step()->set_attempt(2);
  launch.mutable_step()->set_step(0);
  launch.set_credential_body("body");
  launch.set_credential_signature("signature");
  launch.set_image_digest(DigestOf("image"));
  launch.add_nodes("n1");
  launch.add_node_addresses("10.0.0.1:6822");
  v1::RankList& ranks = *launch.add_ranks();
  for (int rank = 0; rank < tasks; ++rank) ranks.add_ranks(static_cast<std::uint32_t>(rank));
  launch.mutable_program()->add_argv("true");
  launch.mutable_program()->add_env("HOME=/home/alice");
  launch.mutable_program()->set_cwd("/home/alice");
  launch.mutable_program()->set_umask(027);
  launch.set_time_limit_s(60);
  launch.set_uid(20001);
  return launch;
}

TEST(LaunchPlan, CarriesTheCredentialUnchangedAndASpecThatStepdAccepts) {
  auto plan = PlanOf(Launch(1), {.client_dir = "/c", .agent_uid = 64321});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->credential.body, "body");
  EXPECT_EQ(plan->credential.signature, "signature");
  EXPECT_TRUE(DecodeStepSpec(Encode(plan->spec)));
  EXPECT_EQ(plan->spec.step, (StepId{42, 2, 0}));
  EXPECT_EQ(plan->spec.time_limit_s, 60U);
  EXPECT_EQ(plan->spec.umask, 027U);
  EXPECT_TRUE(plan->spec.image_path.empty());
  EXPECT_TRUE(plan->spec.client_dir.empty());  // not a batch script
  EXPECT_TRUE(plan->spec.kill_on_bad_exit);
}

TEST(LaunchPlan, PmixIsOfferedToMoreThanOneTaskAndDemandedWhenAskedFor) {
  EXPECT_EQ(PlanOf(Launch(1), {})->spec.mpi, MpiKind::kNone);
  EXPECT_EQ(PlanOf(Launch(2), {})->spec.mpi, MpiKind::kAuto);
  v1::LaunchStep launch = Launch(2);
  launch.mutable_program()->set_mpi(v1::MPI_NONE);
  EXPECT_EQ(PlanOf(launch, {})->spec.mpi, MpiKind::kNone);
  launch = Launch(1);
  launch.mutable_program()->set_mpi(v1::MPI_PMIX);
  EXPECT_EQ(PlanOf(launch, {})->spec.mpi, MpiKind::kPmix);
  launch.mutable_program()->set_mpi(static_cast<v1::Mpi>(9));
  EXPECT_FALSE(PlanOf(launch, {}));
}

TEST(LaunchPlan, BatchScriptsGetTheClientAndRootlessOnesTheirImagesPath) {
  v1::LaunchStep launch = Launch(1);
  launch.mutable_step()->set_step(kBatchStep);
  launch.mutable_program()->set_script("#!/bin/sh\n");
  auto plan = PlanOf(launch, {.client_dir = "/c", .image_dir = "/images"});
  EXPECT_EQ(plan->spec.client_dir, "/c");
  EXPECT_EQ(plan->spec.image_path, Cat("/images/sha256-", DigestOf("image").substr(7)));
}

TEST(LaunchPlan, SaysInOneLineWhatIsWrong) {
  v1::LaunchStep launch = Launch(1);
  launch.mutable_program()->add_binds("/data:relative");
  auto refused = PlanOf(launch, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "--bind /data:relative: \"relative\" is not an absolute path");
  launch = Launch(1);
  launch.clear_node_addresses();
  EXPECT_FALSE(PlanOf(launch, {}));
  launch = Launch(1);
  launch.set_image_digest("latest");
  EXPECT_FALSE(PlanOf(launch, {}));
}

TEST(LaunchPlan, BindsBecomeMountsInTheirOrder) {
  v1::LaunchStep launch = Launch(1);
  launch.mutable_program()->add_binds("/data");
  launch.mutable_program()->add_binds("/scratch/alice:/work:ro");
  auto plan = PlanOf(launch, {});
  ASSERT_EQ(plan->spec.mounts.size(), 2U);
  EXPECT_EQ(plan->spec.mounts[0].target, "/data");
  EXPECT_EQ(plan->spec.mounts[1].target, "/work");
  EXPECT_TRUE(plan->spec.mounts[1].read_only);
}

TEST(NodeFacts, AreOfThisMachineUnlessSettingsSayOtherwise) {
  auto found = FindNodeFacts(0, 0);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_GT(found->cores, 0U);
  EXPECT_GT(found->memory_bytes, 1U << 20);
  auto set = FindNodeFacts(found->cores + 3, 12345);
  EXPECT_EQ(set->cores, found->cores + 3);
  EXPECT_EQ(set->memory_bytes, 12345U);
  EXPECT_TRUE(set->core_cpus.empty());  // only counted
}

TEST(BootId, HasANodesOwnSuffixWhereNodesShareAKernel) {
  std::string dir = *MakeTempDirectory("/tmp", "slipway-boot-");
  std::string plain = *FindBootId(dir);
  EXPECT_EQ(plain.size(), 36U);
  ASSERT_TRUE(WriteFileAtomically(dir + "/boot-suffix", "n1-2\n"));
  EXPECT_EQ(*FindBootId(dir), plain + "-n1-2");
  ASSERT_TRUE(RemoveTree(dir));
}

TEST(TaskPrograms, TheSitesAreReadOnlyFilesOfTheContainer) {
  StepSpec spec;
  AddTaskPrograms("", "", spec);
  EXPECT_TRUE(spec.mounts.empty() && spec.env.empty());
  AddTaskPrograms("/etc/site/prolog", "", spec);
  ASSERT_EQ(spec.mounts.size(), 1U);
  EXPECT_TRUE(spec.mounts[0].read_only);
  EXPECT_EQ(spec.mounts[0].source, "/etc/site/prolog");
  EXPECT_EQ(spec.env, (std::vector<std::string>{"SLIPWAY_SITE_TASK_PROLOG=" + spec.mounts[0].target}));
}

}  // namespace
}  // namespace slipway
