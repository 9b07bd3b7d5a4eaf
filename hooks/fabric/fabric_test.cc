// SPDX-License-Identifier: Apache-2.0
#include "hooks/fabric/fabric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/host/testdata/fake_host.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void PutVerbs(FakeHost& host, const std::string& number, const std::string& adapter,
              const std::string& driver) {
  host.File("/sys/class/infiniband_verbs/uverbs" + number + "/ibdev", adapter + "\n");
  host.File("/sys/class/infiniband/" + adapter + "/node_type", "1: CA\n");
  host.File("/sys/bus/pci/drivers/" + driver + "/bind");
  host.Link("/sys/class/infiniband/" + adapter + "/device/driver", "/sys/bus/pci/drivers/" + driver);
  host.File("/dev/infiniband/uverbs" + number);
}

std::vector<std::string> NodesOf(const ContainerEdits& edits) {
  std::vector<std::string> nodes;
  for (const DeviceNode& node : edits.devices) nodes.push_back(node.path);
  return nodes;
}

TEST(Fabrics, AHostWithoutAnyAddsNothing) {
  FakeHost host;
  host.File("/dev/null");
  EXPECT_THAT(FindFabrics(host.tree()), IsEmpty());
}

TEST(Fabrics, VerbsDevicesAndTheConnectionManagerAreInfiniBands) {
  FakeHost host;
  PutVerbs(host, "0", "mlx5_0", "mlx5_core");
  PutVerbs(host, "1", "mlx5_1", "mlx5_core");
  host.Devices({"/dev/infiniband/rdma_cm", "/dev/infiniband/umad0", "/dev/infiniband/issm0"});
  auto fabrics = FindFabrics(host.tree());
  ASSERT_EQ(fabrics.size(), 1U);
  EXPECT_EQ(fabrics[0].name, "InfiniBand");
  EXPECT_THAT(fabrics[0].devices, ElementsAre("mlx5_0", "mlx5_1"));
  ContainerEdits edits = EditsOfFabrics(fabrics, host.tree());
  EXPECT_THAT(NodesOf(edits),
              ElementsAre("/dev/infiniband/uverbs0", "/dev/infiniband/uverbs1", "/dev/infiniband/rdma_cm"));
  EXPECT_EQ(edits.devices[0].host_path, host.root() + "/dev/infiniband/uverbs0");
}

TEST(Fabrics, AmazonsAdapterIsVerbsWithoutAConnectionManager) {
  FakeHost host;
  PutVerbs(host, "0", "rdmap0s6", "efa");
  host.Devices({"/dev/infiniband/rdma_cm", "/dev/gdrdrv"});
  auto fabrics = FindFabrics(host.tree());
  ASSERT_EQ(fabrics.size(), 2U);
  EXPECT_EQ(fabrics[0].name, "EFA");
  EXPECT_EQ(fabrics[1].name, "GDRCopy");
  EXPECT_THAT(NodesOf(EditsOfFabrics(fabrics, host.tree())),
              ElementsAre("/dev/infiniband/uverbs0", "/dev/gdrdrv"));
}

TEST(Fabrics, SlingshotBringsTheLibraryOfItsDriver) {
  FakeHost host;
  host.Files(
      {{"/sys/class/cxi/cxi0/dev", "240:0\n"}, {"/sys/class/cxi/cxi1/dev", "240:1\n"}, {"/dev/cxi0", ""}});
  host.Library("/usr/lib64/libcxi.so.1.5.0", {.soname = "libcxi.so.1"});
  host.Link("/usr/lib64/libcxi.so.1", "libcxi.so.1.5.0");
  auto fabrics = FindFabrics(host.tree());
  ASSERT_EQ(fabrics.size(), 1U);
  EXPECT_THAT(fabrics[0].nodes, ElementsAre("/dev/cxi0")) << "cxi1 has no node";
  ContainerEdits edits = EditsOfFabrics(fabrics, host.tree());
  ASSERT_EQ(edits.mounts.size(), 1U);
  EXPECT_EQ(edits.mounts[0].target, "/.singularity.d/libs/libcxi.so.1");
  EXPECT_EQ(edits.mounts[0].source, host.root() + "/usr/lib64/libcxi.so.1.5.0");
  EXPECT_THAT(edits.library_folders, ElementsAre("/.singularity.d/libs"));
}

TEST(Fabrics, XpmemAndOmniPathAreTheirNodes) {
  FakeHost host;
  host.Devices({"/dev/xpmem", "/dev/hfi1_0", "/dev/hfi1_1"});
  EXPECT_THAT(NodesOf(EditsOfFabrics(FindFabrics(host.tree()), host.tree())),
              ElementsAre("/dev/hfi1_0", "/dev/hfi1_1", "/dev/xpmem"));
}

TEST(Fabrics, AnAdapterWithoutItsNodeIsNotThere) {
  FakeHost host;
  PutVerbs(host, "0", "mlx5_0", "mlx5_core");
  host.Remove("/dev/infiniband/uverbs0");
  EXPECT_THAT(FindFabrics(host.tree()), IsEmpty());
}

}  // namespace
}  // namespace slipway
