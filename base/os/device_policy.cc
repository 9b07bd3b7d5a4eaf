// SPDX-License-Identifier: Apache-2.0
#include "base/os/device_policy.h"

#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstddef>

#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr std::uint8_t kContext = BPF_REG_1, kType = BPF_REG_2, kAccess = BPF_REG_3, kMajor = BPF_REG_4,
                       kMinor = BPF_REG_5;

struct Program {
  std::vector<bpf_insn> code;
  void Add(int opcode, std::uint8_t to, std::uint8_t from, int offset, std::int32_t value) {
    bpf_insn one{};
    one.code = static_cast<std::uint8_t>(opcode);
    one.dst_reg = to & 15U;
    one.src_reg = from & 15U;
    one.off = static_cast<std::int16_t>(offset);
    one.imm = value;
    code.push_back(one);
  }
  void Load(std::uint8_t to, std::size_t offset) {
    Add(BPF_LDX | BPF_W | BPF_MEM, to, kContext, static_cast<int>(offset), 0);
  }
  void SkipUnless(std::uint8_t left, std::uint32_t right, int instructions) {
    Add(BPF_JMP | BPF_JNE | BPF_K, left, 0, instructions, static_cast<std::int32_t>(right));
  }
  void Answer(int allowed) {
    Add(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allowed);
    Add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
};

// access_type is the access in its upper half and the type in its lower one. To make a node is not to use it
// (overlays make some), and opening it is asked about again.
Program ProgramFor(const std::vector<DeviceRule>& allowed) {
  Program program;
  program.Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type));
  program.Add(BPF_ALU64 | BPF_MOV | BPF_X, kAccess, kType, 0, 0);
  program.Add(BPF_ALU64 | BPF_RSH | BPF_K, kAccess, 0, 0, 16);
  program.Add(BPF_ALU64 | BPF_AND | BPF_K, kType, 0, 0, 0xffff);
  program.Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  program.Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  program.SkipUnless(kAccess, BPF_DEVCG_ACC_MKNOD, 2);
  program.Answer(1);
  for (const DeviceRule& rule : allowed) {
    int left = rule.minor == DeviceRule::kAnyMinor ? 3 : 4;
    program.SkipUnless(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, left--);
    program.SkipUnless(kMajor, rule.major, left--);
    if (rule.minor != DeviceRule::kAnyMinor) program.SkipUnless(kMinor, rule.minor, left--);
    program.Answer(1);
  }
  program.Answer(0);
  return program;
}

Result<int> Bpf(bpf_cmd command, bpf_attr& attributes) {
  long answer = ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
  if (answer < 0) return ErrnoFail("bpf");
  return static_cast<int>(answer);
}

Result<UniqueFd> Load(const std::vector<DeviceRule>& allowed) {
  if (allowed.size() > kDeviceRulesMax)
    return Fail(Code::kInvalidArgument, allowed.size(), " devices, at most ", kDeviceRulesMax);
  for (const DeviceRule& rule : allowed) {
    if (rule.type != 'c' && rule.type != 'b') return Fail(Code::kInvalidArgument, "a device of unknown type");
  }
  Program program = ProgramFor(allowed);
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.expected_attach_type = BPF_CGROUP_DEVICE;
  load.insns = reinterpret_cast<std::uintptr_t>(program.code.data());
  load.insn_cnt = static_cast<std::uint32_t>(program.code.size());
  load.license = reinterpret_cast<std::uintptr_t>("Apache-2.0");
  return UniqueFd(TRY_CONTEXT(Bpf(BPF_PROG_LOAD, load), "loading a device policy"));
}

}  // namespace

std::vector<DeviceRule> UsualDevices() {
  return {{'c', 1, 3}, {'c', 1, 5}, {'c', 1, 7}, {'c', 1, 8}, {'c', 1, 9},
          {'c', 5, 0}, {'c', 5, 1}, {'c', 5, 2}, {'c', 136},  {'c', 10, 229}};
}

Result<DeviceRule> DeviceAt(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) return ErrnoFail("stat", path);
  if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
    return Fail(Code::kInvalidArgument, path, " is no device");
  return DeviceRule{S_ISBLK(status.st_mode) ? 'b' : 'c', major(status.st_rdev), minor(status.st_rdev)};
}

Result<> DevicePolicies::Attach(int directory_fd, const std::vector<DeviceRule>& allowed) {
  auto at = loaded_.find(allowed);
  if (at == loaded_.end()) {
    UniqueFd program = TRY(Load(allowed));
    if (loaded_.size() == kKeptMax) loaded_.clear();  // cgroups keep theirs
    at = loaded_.emplace(allowed, std::move(program)).first;
  }
  bpf_attr attach{};
  attach.target_fd = static_cast<std::uint32_t>(directory_fd);
  attach.attach_bpf_fd = static_cast<std::uint32_t>(at->second.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  TRY_CONTEXT(Bpf(BPF_PROG_ATTACH, attach), "attaching a device policy");
  return {};
}

}  // namespace slipway
