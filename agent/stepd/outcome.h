// SPDX-License-Identifier: Apache-2.0
// Many ranks end in many ways within milliseconds of one another, most of them because of the first. The user
// wants that one: its code, its rank, and why. Pure bookkeeping; what to do about a failure is stepd.h's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/os/process.h"
#include "launcher/spec/step_protocol.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

std::string HowItEnded(const ExitStatus& status);  // "exited with code 3", "was ended by signal 9 (Killed)"

class Outcome {
 public:
  explicit Outcome(const StepSpec& spec);

  void RankStarted(std::uint32_t rank);
  bool RankConnected(std::uint32_t rank);  // true when it shows a failure: an earlier rank left without
  void RankFinalized(std::uint32_t rank);
  // True when this is a failure, and the first. `why` is added to the reason.
  bool RankExited(std::uint32_t rank, std::int32_t wait_status, std::string_view why = {});
  bool RankAborted(std::uint32_t rank, std::int32_t status);  // MPI_Abort
  bool SpawnedAborted(std::string_view name, std::int32_t status);
  // Something else went wrong; false when something did before.
  bool Fail(std::int32_t exit_code, std::string_view reason);
  // The step is ended from outside: its reason is that, its code the first rank's that dies of it.
  void Terminate(std::string_view reason);

  bool failed() const { return failed_; }
  std::int32_t exit_code() const { return exit_code_; }
  const std::string& reason() const { return reason_; }
  bool all_connected() const;
  bool any_connected() const;
  bool all_exited() const { return exited_ == ranks_.size(); }
  bool Exited(std::uint32_t rank) const { return ranks_.at(rank).exited; }
  std::vector<std::uint32_t> NotConnected() const;
  bool LeftWithoutFinalize(std::uint32_t rank) const;  // exited with 0 after MPI_Init, before MPI_Finalize

  StepResult Result(const std::vector<Lap>& laps) const;

 private:
  struct Rank {
    RankResult result;
    bool exited = false, finalized = false;
  };
  std::string Name(std::uint32_t rank) const;
  std::string_view Unserved(const Rank& rank) const;
  std::optional<std::uint32_t> Stranger() const;
  bool FailStranger(std::uint32_t rank);

  const StepId step_;
  const std::string node_;
  const MpiKind mpi_;
  std::map<std::uint32_t, Rank> ranks_;
  std::size_t exited_ = 0;
  bool failed_ = false, terminated_ = false;
  std::int32_t exit_code_ = 0;
  std::string reason_;
};

}  // namespace slipway
