// SPDX-License-Identifier: Apache-2.0
#include <seccomp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/os/fd.h"
#include "launcher/seccomp/profile.h"
#include "launcher/spec/confinement.h"

namespace slipway {
namespace {

std::uint32_t ActionOf(const SeccompAction& action) {
  switch (action.kind) {
    case SeccompAction::kAllow:
      return SCMP_ACT_ALLOW;
    case SeccompAction::kErrno:
      return SCMP_ACT_ERRNO(action.data);
    case SeccompAction::kKillThread:
      return SCMP_ACT_KILL_THREAD;
    case SeccompAction::kKillProcess:
      return SCMP_ACT_KILL_PROCESS;
    case SeccompAction::kTrap:
      return SCMP_ACT_TRAP;
    case SeccompAction::kTrace:
      return SCMP_ACT_TRACE(action.data);
    case SeccompAction::kLog:
      return SCMP_ACT_LOG;
  }
  return SCMP_ACT_KILL_PROCESS;
}

scmp_compare OperatorOf(SeccompTest::Operator op) {
  switch (op) {
    case SeccompTest::kNotEqual:
      return SCMP_CMP_NE;
    case SeccompTest::kLess:
      return SCMP_CMP_LT;
    case SeccompTest::kLessOrEqual:
      return SCMP_CMP_LE;
    case SeccompTest::kEqual:
      return SCMP_CMP_EQ;
    case SeccompTest::kGreaterOrEqual:
      return SCMP_CMP_GE;
    case SeccompTest::kGreater:
      return SCMP_CMP_GT;
    case SeccompTest::kMaskedEqual:
      return SCMP_CMP_MASKED_EQ;
  }
  return SCMP_CMP_EQ;
}

scmp_arg_cmp TestOf(const SeccompTest& test) {
  return {test.index, OperatorOf(test.op), test.value, test.value_two};
}

// libseccomp's errors are negative errno values.
Result<> Check(int code, std::string_view what, std::string_view on = {}) {
  if (code >= 0) return {};
  return Failure(ErrnoErrorOf(-code, what, on));
}

class Compiler {
 public:
  explicit Compiler(const SeccompProfile& profile)
      : profile_(profile), filter_(seccomp_init(ActionOf(profile.otherwise)), seccomp_release) {}

  Result<std::string> Compile() {
    if (!filter_) return Fail(Code::kInternal, "libseccomp made no filter");
    TRY(Check(seccomp_attr_set(filter_.get(), SCMP_FLTATR_ACT_BADARCH, ActionOf(profile_.foreign)),
              "seccomp: the action for foreign architectures"));
    // A tree instead of a list: what the kernel does not remember as always allowed takes few steps.
    TRY(Check(seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "seccomp: optimising"));
    for (const std::string& name : profile_.architectures) TRY(AddArchitecture(name));
    for (const SeccompRule& rule : profile_.rules) {
      if (rule.action == profile_.otherwise) continue;
      for (const std::string& name : rule.names) TRY(AddRule(rule, name));
    }
    return Export();
  }

 private:
  Result<> AddArchitecture(const std::string& name) {
    std::uint32_t token = seccomp_arch_resolve_name(name.c_str());
    if (token == 0)
      return Fail(Code::kInvalidArgument, "seccomp: unknown architecture '", name.substr(0, 64), "'");
    int code = seccomp_arch_add(filter_.get(), token);
    return code == -EEXIST ? Result<>() : Check(code, "seccomp: architecture", name);
  }

  Result<> AddRule(const SeccompRule& rule, const std::string& name) {
    int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR)
      return Fail(Code::kInvalidArgument, "seccomp: unknown system call '", name.substr(0, 64), "'");
    bool twice = std::any_of(rule.tests.begin(), rule.tests.end(), [&](const SeccompTest& test) {
      return std::count_if(rule.tests.begin(), rule.tests.end(),
                           [&](const SeccompTest& other) { return other.index == test.index; }) > 1;
    });
    if (!twice) return AddTests(rule, name, number, rule.tests);
    for (const SeccompTest& test : rule.tests) TRY(AddTests(rule, name, number, {test}));
    return {};
  }

  Result<> AddTests(const SeccompRule& rule, const std::string& name, int number,
                    const std::vector<SeccompTest>& tests) {
    std::vector<scmp_arg_cmp> comparisons;
    for (const SeccompTest& test : tests) comparisons.push_back(TestOf(test));
    int code = seccomp_rule_add_array(filter_.get(), ActionOf(rule.action), number,
                                      static_cast<unsigned>(comparisons.size()), comparisons.data());
    return code == -EEXIST ? Result<>() : Check(code, "seccomp: the rule for", name);
  }

  Result<std::string> Export() {
    UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return ErrnoFail("memfd_create");
    TRY(Check(seccomp_export_bpf(filter_.get(), file.get()), "seccomp: making the filter"));
    if (::lseek(file.get(), 0, SEEK_SET) < 0) return ErrnoFail("lseek");
    return TRY_CONTEXT(ReadAll(file.get(), kFilterInstructionsMax * kFilterInstructionBytes),
                       Cat("seccomp: more than the kernel's ", kFilterInstructionsMax, " instructions"));
  }

  const SeccompProfile& profile_;
  std::unique_ptr<void, void (*)(void*)> filter_;
};

}  // namespace

bool IsSystemCall(const std::string& name) {
  return seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR;
}

Result<std::string> CompileSeccomp(const SeccompProfile& profile) { return Compiler(profile).Compile(); }

}  // namespace slipway
