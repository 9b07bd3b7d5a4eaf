// SPDX-License-Identifier: Apache-2.0
#include "hooks/cdi/declared_hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/host/testdata/fake_host.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kFolder = "/usr/lib/x86_64-linux-gnu";

class DeclaredHooksTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string library = std::string(kFolder) + "/libcuda.so.550.54.14";
    host_.Library(library, {.soname = "libcuda.so.1"});
    edits_.mounts = {{.source = host_.root() + library, .target = library, .read_only = true}};
  }
  void Add(std::vector<std::string> args, const std::string& path = "/usr/bin/nvidia-cdi-hook") {
    edits_.hooks.push_back({.stage = HookStage::kCreateContainer, .path = path, .args = std::move(args)});
  }
  std::vector<std::string> Targets() {
    std::vector<std::string> targets;
    for (const Mount& mount : edits_.mounts) targets.push_back(mount.target);
    return targets;
  }
  FakeHost host_;
  ContainerEdits edits_;
  std::vector<std::string> notes_;
};

// The order is the toolkit's: links first, although the one they lead to is made by the cache.
TEST_F(DeclaredHooksTest, LinksAndTheLoadersCacheBecomeBindsAndAFolder) {
  Add({"nvidia-cdi-hook", "create-symlinks", "--link", "libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so"});
  Add({"nvidia-ctk", "hook", "update-ldcache", "--folder=/usr/lib/x86_64-linux-gnu"}, "/usr/bin/nvidia-ctk");
  Add({"nvidia-cdi-hook", "chmod", "--mode", "755", "--path", "/dev/dri"});
  Add({"nvidia-cdi-hook", "disable-device-node-modification"});
  ASSERT_TRUE(DeclareKnownHooks(edits_, notes_));
  EXPECT_THAT(edits_.hooks, IsEmpty());
  EXPECT_THAT(notes_, IsEmpty());
  EXPECT_THAT(edits_.library_folders, ElementsAre(kFolder));
  EXPECT_THAT(Targets(),
              ElementsAre("/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14",
                          "/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so"));
  EXPECT_EQ(edits_.mounts[2].source, edits_.mounts[0].source);
}

TEST_F(DeclaredHooksTest, OthersHooksAndUnknownTasksStayHooks) {
  Add({"hook", "create-symlinks"}, "/opt/site/hook");
  Add({"nvidia-cdi-hook", "something-new"});
  ASSERT_TRUE(DeclareKnownHooks(edits_, notes_));
  EXPECT_EQ(edits_.hooks.size(), 2U);
}

TEST_F(DeclaredHooksTest, ALinkToNothingIsNotedAndABadOneRefused) {
  Add({"nvidia-cdi-hook", "create-symlinks", "--link", "libgone.so.1::/usr/lib/libgone.so"});
  ASSERT_TRUE(DeclareKnownHooks(edits_, notes_));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("no link at /usr/lib/libgone.so")));
  Add({"nvidia-cdi-hook", "create-symlinks", "--link", "a::../b"});
  EXPECT_THAT(DeclareKnownHooks(edits_, notes_).error().message, HasSubstr("is not TARGET::PATH"));
}

}  // namespace
}  // namespace slipway
