// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/os/fd.h"
#include "launcher/hook/run_hook.h"
#include "launcher/hook/state.h"

namespace slipway {
namespace {

using testing::HasSubstr;

class HookTest : public testing::Test {
 protected:
  void SetUp() override { path_ = *MakeTempDirectory("/tmp", "slipway-hook-test-"); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(path_)); }
  Hook Shell(const std::string& script) const {
    return {.path = "/bin/sh",
            .args = {"sh", "-c", script},
            .env = {Cat("OUT=", path_, "/out")},
            .timeout_s = 60};
  }
  std::string Out() const { return *ReadFile(path_ + "/out"); }
  std::string path_;
};

// NVIDIA's CVE-2025-23266: LD_PRELOAD of the container reached a hook outside.
TEST_F(HookTest, CVE_2025_23266_AHookHasExactlyTheEnvironmentOfItsFile) {
  ::setenv("LD_PRELOAD", "/tmp/evil.so", 1);
  ::setenv("SLIPWAY_TEST_LEAK", "1", 1);
  Hook hook = Shell("");
  hook.args = {"sh", "-c", "/usr/bin/env > $OUT"};
  auto ran = RunHook(hook, "{}");
  ::unsetenv("LD_PRELOAD");
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_THAT(Out(), HasSubstr("OUT="));
  for (const char* leak : {"LD_PRELOAD", "SLIPWAY_TEST_LEAK", "HOME", "PATH=/usr/local"})
    EXPECT_THAT(Out(), testing::Not(HasSubstr(leak)));
}

TEST_F(HookTest, GetsTheStateAndNothingElseOpen) {
  UniqueFd mine = std::move(*Open("/etc/passwd", O_RDONLY));
  ASSERT_TRUE(SetCloexec(mine.get(), false));
  ASSERT_TRUE(
      RunHook(Shell("/bin/cat > $OUT; echo >> $OUT; pwd >> $OUT; ls /proc/self/fd | /usr/bin/wc -l >> $OUT; "
                    "grep -E '^(NoNewPrivs|SigBlk)' /proc/self/status >> $OUT"),
              StateJson({.id = "a\"b", .status = "created", .pid = 7, .bundle = "/b"})));
  EXPECT_EQ(Out(),
            "{\"ociVersion\":\"1.0.2\",\"id\":\"a\\\"b\",\"status\":\"created\",\"bundle\":\"/b\",\"pid\":7,"
            "\"annotations\":{}}\n/\n4\nSigBlk:\t0000000000000000\nNoNewPrivs:\t1\n");
}

TEST_F(HookTest, WhatFailsSaysHowAndItsLastLine) {
  EXPECT_EQ(RunHook(Shell("echo one; echo two >&2; exit 3"), "{}").error().message,
            "hook /bin/sh (createContainer): exit code 3: two");
  EXPECT_THAT(RunHook(Shell("kill -9 $$"), "{}").error().message, HasSubstr("ended by signal 9"));
  EXPECT_THAT(RunHook({.path = "/no/such/hook"}, "{}").error().message,
              HasSubstr("exec /no/such/hook: No such file"));
  auto refused = RunHook(Shell("true"), "{}", [] { return Result<>(Fail(Code::kInternal, "not so")); });
  EXPECT_THAT(refused.error().message, HasSubstr("not so"));
}

TEST_F(HookTest, IsEndedAtItsDeadlineWithAllThatItStarted) {
  Hook hook = Shell("(trap '' TERM HUP; echo $$ > $OUT; exec sleep 1000) & exec sleep 1000");
  hook.timeout_s = 1;
  auto ran = RunHook(hook, "{}");
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, Code::kDeadlineExceeded);
  EXPECT_THAT(ran.error().message, HasSubstr("not done within 1 s"));
}

TEST_F(HookTest, AFloodOfWordsDoesNotStopItNorUs) {
  auto ran = RunHook(
      Shell("i=0; while [ $i -lt 20000 ]; do echo aaaaaaaaaaaaaaaaaaaaaaaaa; i=$((i+1)); done; exit 4"),
      "{}");
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().message, HasSubstr("exit code 4: aaaa"));
}

TEST_F(HookTest, OfAStageRunInOrderUntilOneFails) {
  auto say = [&](HookStage stage, const std::string& word) {
    Hook hook = Shell(Cat("echo ", word, " >> $OUT; [ ", word, " != bad ]"));
    hook.stage = stage;
    return hook;
  };
  std::vector<Hook> hooks = {say(HookStage::kPoststop, "a"), say(HookStage::kPrestart, "b"),
                             say(HookStage::kPoststop, "bad"), say(HookStage::kPoststop, "c")};
  EXPECT_FALSE(RunHooks(hooks, HookStage::kPoststop, "{}"));
  EXPECT_EQ(Out(), "a\nbad\n");
  EXPECT_TRUE(HasStage(hooks, HookStage::kPrestart));
  EXPECT_FALSE(HasStage(hooks, HookStage::kPoststart));
}

TEST(HookState, QuotesAnyBytes) {
  EXPECT_EQ(JsonQuoted("a\"\\\n\x01 \xc3\xa9 \xff \xed\xa0\x80"),
            "\"a\\\"\\\\\\u000a\\u0001 \xc3\xa9 \\ufffd \\ufffd\\ufffd\\ufffd\"");
  LaunchSpec spec;
  spec.argv = {"a", "b"};
  EXPECT_THAT(BundleConfig(spec, "/mnt/rootfs"),
              HasSubstr(R"("root":{"path":"/mnt/rootfs","readonly":true},"process":{"args":["a","b"])"));
}

}  // namespace
}  // namespace slipway
