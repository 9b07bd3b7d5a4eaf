// SPDX-License-Identifier: Apache-2.0
// A fuzzer's first inputs are encoded structures, and when a structure gets one field more they are noise
// that its decoder refuses at once: nobody notices. So those of the largest structures are said here in
// words, and the files in corpus/ must be what today's encoder makes of them; with SLIPWAY_WRITE_SEEDS=1 they
// are written.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "base/wire/stream.h"
#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_protocol.h"

namespace slipway {
namespace {

// The file has these bytes, or is made to.
void IsSeed(const std::string& name, const std::string& bytes) {
  std::string path = Cat(FUZZ_CORPUS, "/", name);
  if (std::getenv("SLIPWAY_WRITE_SEEDS") != nullptr) std::ofstream(path, std::ios::binary) << bytes;
  std::ifstream file(path, std::ios::binary);
  std::string kept{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(kept == bytes) << name << " is not of today's layout: SLIPWAY_WRITE_SEEDS=1 writes it anew";
}

LaunchSpec Shell() {
  LaunchSpec spec;
  spec.image = {.kind = ImageKind::kSquashfuse, .fd = 0, .offset = 4096, .size = 1 << 20};
  spec.mounts = {{.type = Mount::kProc, .target = "/proc", .optional = true},
                 {.type = Mount::kBind, .source = "/home/a", .target = "/home/a", .options = "nodev"}};
  spec.files = {{.target = "/etc/passwd", .content = "a:x:1:1::/:/bin/sh", .account_line = true}};
  spec.argv = {"/bin/sh", "-c", "true"};
  spec.env = {"PATH=/bin", "HOME=/home/a"};
  spec.cwd = "/home/a";
  spec.fd_count = 2;
  spec.tasks = {{.rank = 3, .env = {"R=3"}, .stdout_fd = 1, .cpus = {0, 2}},
                {.rank = 4, .own_terminal = false}};
  return spec;
}

void IsLaunchSeed(const std::string& name, const LaunchSpec& spec) {
  std::string bytes = EncodeLaunchSpec(spec);
  auto decoded = DecodeLaunchSpec(bytes);
  EXPECT_TRUE(decoded) << name << ": " << decoded.error().message;
  IsSeed("launch_spec_fuzz/" + name, bytes);
}

TEST(LaunchSpecSeeds, AreOfTodaysLayout) {
  IsLaunchSeed("small", Shell());

  LaunchSpec tmpfs = Shell();
  tmpfs.writable_tmpfs = true;
  tmpfs.writing.tmpfs_size = "1g";
  tmpfs.hostname = "h";
  tmpfs.uts_namespace = tmpfs.net_namespace = true;
  tmpfs.app = "foo";
  tmpfs.explain = true;
  tmpfs.resource_limits = {{.resource = 7, .value = 1024}};
  IsLaunchSeed("tmpfs", tmpfs);

  LaunchSpec in_place = Shell();
  in_place.image = {.kind = ImageKind::kDirectory, .path = "/r"};
  in_place.writing.in_place = true;
  in_place.fakeroot = true;
  IsLaunchSeed("in_place", in_place);

  LaunchSpec overlays = Shell();
  ImageSource ext3{.kind = ImageKind::kFuse2fs, .fd = 1};
  overlays.writing.overlays = {{.image = {.kind = ImageKind::kDirectory, .path = "/o"}, .name = "/o"},
                               {.image = ext3, .name = "a.img", .writable = true}};
  overlays.mounts.push_back({.type = Mount::kImage,
                             .source = "/d.sqsh",
                             .target = "/d",
                             .options = "/",
                             .image = {.kind = ImageKind::kSquashfuse, .fd = 1, .size = 4096}});
  IsLaunchSeed("overlays", overlays);

  LaunchSpec confined = Shell();
  confined.confinement = {.capabilities = 1 << 13, .filter = Confinement::kGiven, .bpf = std::string(8, 6)};
  confined.hooks = {{.path = "/h", .args = {"h"}, .env = {"A=1"}, .timeout_s = 3}};
  IsLaunchSeed("confined", confined);
}

// As FuzzedDataProvider reads a string: a backslash stands for itself when it is doubled.
std::string Escaped(const std::string& bytes) {
  std::string escaped;
  for (char c : bytes) escaped += c == '\\' ? std::string("\\\\") : std::string(1, c);
  return escaped;
}

TEST(StepFramesSeeds, AreOfTodaysLayout) {
  const StepId step{42, 1, 0};  // the fuzzer's
  std::string life =
      WithLength(
          EncodeFrame(StepFrame::kState,
                      StepState{step, StepPhase::kRunning, {{"started", 12}, {"ready", 7}}, "cores"})) +
      WithLength(EncodeFrame(StepFrame::kOutput, StepOutput{.rank = 1, .stream = 2, .bytes = "hello\n"})) +
      WithLength(EncodeFrame(StepFrame::kExchangeOut, StepExchange{.node = 1, .bytes = "opaque"})) +
      WithLength(EncodeFrame(StepFrame::kRendezvousOut, StepRendezvous{2, "n2", "opaque", ""})) +
      WithLength(
          EncodeFrame(StepFrame::kEnded, StepResult{.step = step,
                                                    .exit_code = 137,
                                                    .reason = "rank 1 on n1 was ended by signal 9",
                                                    .ranks = {{0, 0, true, true}, {1, 9, true, false}},
                                                    .laps = {{"ended", 3}},
                                                    .usage = {.cpu_us = 5000, .memory_peak_bytes = 1 << 20},
                                                    .binding = "cores"}));
  IsSeed("step_frames_fuzz/life", Escaped(life));
  std::string orders = WithLength(EncodeFrame(StepFrame::kAttach, StepAttach{})) +
                       WithLength(EncodeFrame(StepFrame::kStdin, StepStdin{.bytes = "in", .eof = true})) +
                       WithLength(EncodeFrame(StepFrame::kPeerGone, StepPeerGone{1, "unreachable", true})) +
                       WithLength(EncodeFrame(StepFrame::kTerminate, StepTerminate{"CANCELLED", 5}));
  IsSeed("step_frames_fuzz/orders", Escaped(orders));
}

}  // namespace
}  // namespace slipway
