// SPDX-License-Identifier: Apache-2.0
// `slipway gpu …` as it is typed, on recorded hosts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/os/process.h"
#include "hooks/cdi/cdi_spec.h"
#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class GpuCommandTest : public testing::Test {
 protected:
  Output Run(std::vector<std::string> words) {
    std::vector<std::string> argv = {Cat(SLIPWAY_BIN_DIR, "/slipway"), "gpu"};
    argv.insert(argv.end(), words.begin(), words.end());
    argv.insert(argv.end(), {"--host-root", host_.root()});
    return *RunAndCapture({.argv = argv});
  }
  FakeHost host_;
};

TEST_F(GpuCommandTest, ListShowsWhatThereIsAndWhatIsWrong) {
  PutTwoA100(host_);
  host_.Remove("/dev/nvidia1");
  Output shown = Run({"list"});
  EXPECT_EQ(shown.status.exit_code(), 1);
  EXPECT_THAT(shown.out, AllOf(HasSubstr("nvidia.com/gpu=0"), HasSubstr("a100"),
                               HasSubstr("NVIDIA driver 550.54.14"), HasSubstr("/dev/nvidia1 is missing")));
  host_.File("/dev/nvidia1");
  Output json = Run({"list", "--json"});
  EXPECT_EQ(json.status.exit_code(), 0);
  auto parsed = nlohmann::json::parse(json.out);
  ASSERT_EQ(parsed["gpus"].size(), 2U);
  EXPECT_EQ(parsed["gpus"][1]["uuid"], "GPU-2");
  EXPECT_EQ(parsed["gpus"][1]["numa_node"], 1);
  EXPECT_EQ(parsed["drivers"][0]["libraries"], 5);
}

TEST_F(GpuCommandTest, AHostWithoutAnySaysSo) {
  Output shown = Run({"list"});
  EXPECT_EQ(shown.status.exit_code(), 3);
  EXPECT_EQ(shown.out, "no GPU on this host\n");
  EXPECT_NE(Run({"cdi"}).status.exit_code(), 0);
}

TEST_F(GpuCommandTest, CdiWritesAFileThatIsSound) {
  PutTwoA100(host_);
  std::string file = host_.root() + "/nvidia.json";
  EXPECT_EQ(Run({"cdi", "--output", file}).status.exit_code(), 0);
  auto spec = ParseCdi(*ReadFile(file), false);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->kind, "nvidia.com/gpu");
  EXPECT_EQ(Run({"cdi"}).out, *ReadFile(file));
  PutAmd(host_);
  EXPECT_NE(Run({"cdi"}).status.exit_code(), 0) << "there are two makers";
  EXPECT_THAT(Run({"cdi", "--vendor", "amd"}).out, HasSubstr("\"amd.com/gpu\""));
}

}  // namespace
}  // namespace slipway
