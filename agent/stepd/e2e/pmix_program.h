// SPDX-License-Identifier: Apache-2.0
// For tests: a PMIx client that a test brings as the text of its main, compiled and run on two nodes of a
// real step; each mode of such a program is one promise of the host.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "agent/stepd/step_under_test.h"

namespace slipway {

// Before each program; `me` is set by its main.
inline constexpr char kPmixCommon[] = R"(
#include <pmix.h>
#include <pmix_tool.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
static pmix_proc_t me;
#define MUST(what, wanted) do { pmix_status_t got = (what); if (got != (wanted)) { \
  printf("%u: %s gave %s\n", me.rank, #what, PMIx_Error_string(got)); fflush(stdout); _exit(9); } } while (0)
static void FenceAll(void) { MUST(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS); }
static void Put(const char* key, int number) {
  pmix_value_t value; PMIX_VALUE_LOAD(&value, &number, PMIX_INT);
  MUST(PMIx_Put(PMIX_GLOBAL, key, &value), PMIX_SUCCESS);
  MUST(PMIx_Commit(), PMIX_SUCCESS);
}
static int Get(unsigned rank, const char* key) {
  pmix_proc_t whom; pmix_value_t* value; PMIX_LOAD_PROCID(&whom, me.nspace, rank);
  MUST(PMIx_Get(&whom, key, NULL, 0, &value), PMIX_SUCCESS);
  return value->data.integer;
}
)";

class PmixStep : public ::testing::Test {
 protected:
  explicit PmixStep(const char* program) : program_(program) {}
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "emulated nodes need namespaces: run as root";
    dir_ = *MakeTempDirectory("/tmp", "stepd-pmix-");
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/p.c", Cat(kPmixCommon, program_)));
    auto built = RunAndCapture({.argv = {"gcc", "-w", "-o", dir_ + "/p", dir_ + "/p.c",
                                         "-I/usr/lib/x86_64-linux-gnu/pmix2/include", "-lpmix"}});
    if (!built || built->status.exit_code() != 0)
      built = RunAndCapture(
          {.argv = {"gcc", "-w", "-o", dir_ + "/p", dir_ + "/p.c",
                    "-I/usr/lib/x86_64-linux-gnu/pmix2/include", "/usr/lib/x86_64-linux-gnu/libpmix.so.2"}});
    if (!built || built->status.exit_code() != 0) GTEST_SKIP() << "no PMIx to compile with (libpmix-dev)";
  }
  void TearDown() override {
    if (!dir_.empty()) (void)RemoveTree(dir_);
  }
  StepSpec Spec(const std::string& mode) {
    StepSpec spec = SpecOf(2, 4, {dir_ + "/p", mode});
    spec.mpi = MpiKind::kPmix;
    return spec;
  }
  const std::string program_;
  std::string dir_;
};

}  // namespace slipway
