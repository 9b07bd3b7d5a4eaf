// SPDX-License-Identifier: Apache-2.0
// GPUs that agents find, through the real API: no setting speaks of them.
#include "base/text/text.h"
#include "scheduler/server/test_cluster.h"

namespace slipway::scheduler {
namespace {

v1::GpuUnit Gpu(const std::string& id, const std::string& type) {
  v1::GpuUnit unit;
  unit.set_id(id);
  unit.set_type(type);
  return unit;
}

using GpuCluster = Cluster;

v1::SubmitRequest Wanting(const std::string& image, std::uint32_t gpus, const std::string& type) {
  v1::SubmitRequest request = Batch(image);
  request.mutable_spec()->mutable_resources()->set_gpus_per_node(gpus);
  request.mutable_spec()->mutable_resources()->set_gpu_type(type);
  return request;
}

TEST_F(GpuCluster, AJobGetsOfTheTypeThatItAsksForByTheNodesOwnNames) {
  EXPECT_FALSE(Submit(kAnn, Wanting(folder_.image, 1, "h100"))) << "there is none yet";
  auto node = Join("n1", {Gpu("GPU-a", "h100"), Gpu("GPU-b", "a100"), Gpu("GPU-c", "h100")});
  auto first = Submit(kAnn, Wanting(folder_.image, 2, "h100"));
  ASSERT_TRUE(first) << first.error().message;
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  const auto& ids = message.launch().gpu_ids();
  EXPECT_EQ(slipway::Join(std::vector<std::string>(ids.begin(), ids.end()), " "), "GPU-a GPU-c");
  EXPECT_EQ(message.launch().program().devices_size(), 0);
  auto second = Submit(kBob, Wanting(folder_.image, 1, "a100"));
  ASSERT_TRUE(second) << second.error().message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  EXPECT_EQ(message.launch().gpu_ids(0), "GPU-b");
}

TEST_F(GpuCluster, AJobCannotNameAGpuThatTheSchedulerDidNotGiveIt) {
  auto node = Join("n1", {Gpu("GPU-a", "h100")});
  v1::SubmitRequest request = Batch(folder_.image);
  request.mutable_spec()->mutable_program()->add_devices("nvidia.com/gpu=all");
  auto refused = Submit(kAnn, request);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("asks for GPUs with --gpus"), std::string::npos);
}

TEST_F(GpuCluster, ANodeThatClaimsOneGpuTwiceIsRefused) {
  FakeNode node(folder_, server_->port(), "n1", "n1", 4, {}, {Gpu("GPU-a", "h100"), Gpu("GPU-a", "h100")});
  EXPECT_EQ(node.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(GpuCluster, ATypeThatIsNoNameIsAGpuAllTheSame) {
  auto node = Join("n1", {Gpu("GPU-a", "A 100\n")});
  ASSERT_TRUE(Submit(kAnn, Wanting(folder_.image, 1, "gpu")));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  EXPECT_EQ(message.launch().gpu_ids(0), "GPU-a");
}

}  // namespace
}  // namespace slipway::scheduler
