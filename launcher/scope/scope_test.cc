// SPDX-License-Identifier: Apache-2.0
// A systemd that is none: the other end of the bus connection is played by a thread, which records what it is
// asked for. The real one is asked in tests/vm.
#include "launcher/scope/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <thread>

#include "base/os/fd.h"
#include "base/os/socket.h"

namespace slipway {
namespace {

using testing::HasSubstr;

class FakeSystemd {
 public:
  std::string job_result = "done", refusal, unit, mode;
  std::vector<unsigned> pids;
  std::map<std::string, std::uint64_t> numbers;
  std::string cpus;
  bool delegate = false;
  bool leaves = false;  // instead of an answer

  explicit FakeSystemd(UniqueFd end) : end_(std::move(end)) {}
  void Start() {
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeSystemd() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  static constexpr const char *kPath = "/org/freedesktop/systemd1",
                              *kManager = "org.freedesktop.systemd1.Manager",
                              *kScopePath = "/org/freedesktop/systemd1/unit/a_2escope";

  void Serve() {
    static const sd_bus_vtable kManagerTable[] = {
        SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Subscribe", "", "", OnSubscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", OnStart, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnit", "s", "o", OnGetUnit, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END};
    static const sd_bus_vtable kScopeTable[] = {
        SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("ControlGroup", "s", OnCgroup, 0, 0), SD_BUS_VTABLE_END};
    sd_bus* bus = nullptr;
    sd_id128_t id{};
    id.bytes[0] = 1;
    int fd = end_.release();
    ASSERT_GE(sd_bus_new(&bus), 0);
    ASSERT_GE(sd_bus_set_fd(bus, fd, fd), 0);
    ASSERT_GE(sd_bus_set_server(bus, 1, id), 0);
    ASSERT_GE(sd_bus_add_object_vtable(bus, nullptr, kPath, kManager, kManagerTable, this), 0);
    ASSERT_GE(sd_bus_add_object_vtable(bus, nullptr, kScopePath, "org.freedesktop.systemd1.Scope",
                                       kScopeTable, this),
              0);
    ASSERT_GE(sd_bus_start(bus), 0);
    while (!gone_) {
      int result = sd_bus_process(bus, nullptr);
      if (result < 0) break;  // the other end has gone
      if (result == 0 && sd_bus_wait(bus, UINT64_MAX) < 0) break;
    }
    sd_bus_close_unref(bus);
  }
  static int OnSubscribe(sd_bus_message* message, void*, sd_bus_error*) {
    return sd_bus_reply_method_return(message, "");
  }
  static int OnStart(sd_bus_message* message, void* user, sd_bus_error* error) {
    return static_cast<FakeSystemd*>(user)->StartUnit(message, error);
  }
  static int OnGetUnit(sd_bus_message* message, void*, sd_bus_error*) {
    return sd_bus_reply_method_return(message, "o", kScopePath);
  }
  static int OnCgroup(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*,
                      sd_bus_error*) {
    return sd_bus_message_append(reply, "s", "/user.slice/a.scope");
  }

  int StartUnit(sd_bus_message* message, sd_bus_error* error) {
    const char *name = nullptr, *how = nullptr;
    sd_bus_message_read(message, "ss", &name, &how);
    unit = name;
    mode = how;
    sd_bus_message_enter_container(message, 'a', "(sv)");
    while (sd_bus_message_enter_container(message, 'r', "sv") > 0) {
      ReadProperty(message);
      sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
    if (leaves) {
      gone_ = true;
      return 1;
    }
    if (!refusal.empty()) return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, refusal.c_str());
    sd_bus* bus = sd_bus_message_get_bus(message);
    // Another's job first; ours before the answer that says which is ours, as it may happen.
    sd_bus_emit_signal(bus, kPath, kManager, "JobRemoved", "uoss", 1U, "/job/1", "b.scope", "failed");
    sd_bus_emit_signal(bus, kPath, kManager, "JobRemoved", "uoss", 2U, "/job/2", name, job_result.c_str());
    return sd_bus_reply_method_return(message, "o", "/job/2");
  }
  void ReadProperty(sd_bus_message* message) {
    const char *key = nullptr, *type = nullptr;
    sd_bus_message_read(message, "s", &key);
    sd_bus_message_peek_type(message, nullptr, &type);
    std::string kind = type;
    if (kind == "t") {
      std::uint64_t value = 0;
      sd_bus_message_read(message, "v", "t", &value);
      numbers[key] = value;
      return;
    }
    sd_bus_message_enter_container(message, 'v', type);
    const void* bytes = nullptr;
    std::size_t size = 0;
    if (kind == "ay") {
      sd_bus_message_read_array(message, 'y', &bytes, &size);
      cpus.assign(static_cast<const char*>(bytes), size);
    } else if (kind == "au") {
      sd_bus_message_read_array(message, 'u', &bytes, &size);
      const auto* values = static_cast<const unsigned*>(bytes);
      pids.assign(values, values + size / sizeof *values);
    } else if (kind == "b") {
      int yes = 0;
      sd_bus_message_read(message, "b", &yes);
      delegate = delegate || (std::string(key) == "Delegate" && yes != 0);
    } else {
      sd_bus_message_skip(message, type);
    }
    sd_bus_message_exit_container(message);
  }

  UniqueFd end_;
  bool gone_ = false;
  std::thread thread_;
};

class ScopeTest : public testing::Test {
 protected:
  void SetUp() override {
    SocketEnds ends = std::move(*MakeSocketPair(SOCK_STREAM));
    systemd_ = std::make_unique<FakeSystemd>(std::move(ends.a));
    ours_ = std::move(ends.b);
  }
  Result<std::string> Start(const ContainerLimits& limits, bool delegated = false) {
    systemd_->Start();
    sd_bus* bus = nullptr;
    int fd = ours_.release();
    CHECK(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fd, fd) >= 0 && sd_bus_start(bus) >= 0);
    auto started =
        StartScope(bus, {.unit = "slipway-1.scope", .pid = 4711, .limits = limits, .delegated = delegated});
    sd_bus_flush_close_unref(bus);
    return started;
  }
  std::unique_ptr<FakeSystemd> systemd_;
  UniqueFd ours_;
};

TEST_F(ScopeTest, AsksForEachLimitAndWaitsForTheScope) {
  auto cgroup = Start({.cpu_us_per_s = 1'500'000,
                       .memory_bytes = 1 << 30,
                       .swap_bytes = 0,
                       .processes = 64,
                       .cpus = {0, 3, 8}});
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  EXPECT_EQ(*cgroup, "/user.slice/a.scope");
  EXPECT_EQ(systemd_->unit, "slipway-1.scope");
  EXPECT_EQ(systemd_->mode, "fail");
  EXPECT_EQ(systemd_->pids, std::vector<unsigned>{4711});
  EXPECT_EQ(systemd_->numbers, (std::map<std::string, std::uint64_t>{{"CPUQuotaPerSecUSec", 1'500'000},
                                                                     {"MemoryMax", 1 << 30},
                                                                     {"MemorySwapMax", 0},
                                                                     {"TasksMax", 64}}));
  EXPECT_FALSE(systemd_->delegate);
  EXPECT_EQ(systemd_->cpus, std::string("\x09\x01", 2));
}

TEST_F(ScopeTest, OfAClusterIsDelegatedAndHasNoLimitOfItsOwn) {
  auto cgroup = Start({}, true);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  EXPECT_TRUE(systemd_->delegate);
  EXPECT_EQ(systemd_->numbers, (std::map<std::string, std::uint64_t>{{"TasksMax", UINT64_MAX}}));
}

TEST_F(ScopeTest, SaysWhatSystemdSaid) {
  systemd_->refusal = "Interactive authentication required.";
  auto cgroup = Start({.memory_bytes = 1});
  ASSERT_FALSE(cgroup);
  EXPECT_THAT(cgroup.error().message, HasSubstr("systemd: Interactive authentication required."));
}

TEST_F(ScopeTest, FailsWhenTheScopeDoes) {
  systemd_->job_result = "failed";
  auto cgroup = Start({.memory_bytes = 1});
  ASSERT_FALSE(cgroup);
  EXPECT_THAT(cgroup.error().message, HasSubstr("'failed'"));
}

TEST_F(ScopeTest, FailsWhenSystemdGoes) {
  systemd_->leaves = true;
  EXPECT_FALSE(Start({.memory_bytes = 1}));
}

TEST(LimitsHold, OnlyWhereTheControllerHasFiles) {
  std::string folder = *MakeTempDirectory("/tmp", "slipway-scope-test-");
  ASSERT_TRUE(WriteFileAtomically(folder + "/memory.max", "max\n"));
  EXPECT_TRUE(CheckLimitsHold(folder, {.memory_bytes = 1}));
  auto held = CheckLimitsHold(folder, {.memory_bytes = 1, .processes = 3});
  ASSERT_FALSE(held);
  EXPECT_THAT(held.error().message, HasSubstr("controller pids is not delegated"));
  ASSERT_TRUE(RemoveTree(folder));
}

TEST(LimitWords, ComeBackAsTheyWere) {
  ContainerLimits limits{.cpu_us_per_s = 5, .cpu_weight = 100, .swap_bytes = 0, .cpus = {1, 2, 9}};
  auto again = ParseLimitWords(LimitWords(limits));
  ASSERT_TRUE(again);
  EXPECT_EQ(LimitWords(*again), LimitWords(limits));
  EXPECT_TRUE(again->swap_bytes && !again->memory_bytes);
}

TEST(LimitWords, AreBounded) {
  for (const char* word :
       {"memory=", "memory=x", "memory=-1", "memory=0", "memory=99999999999999999999", "other=1",
        "cpus=", "cpus=3-1", "cpus=8192", "cpus=0-99999999999", "cpus=1,,2", "cpu-weight=0", "", "="})
    EXPECT_FALSE(ParseLimitWords({word})) << word;
}

}  // namespace
}  // namespace slipway
