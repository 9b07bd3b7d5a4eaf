// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/outcome.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

namespace slipway {
namespace {

constexpr std::int32_t kNeverConnectedCode = 1;

}  // namespace

std::string HowItEnded(const ExitStatus& status) {
  if (!status.signaled()) return Cat("exited with code ", status.exit_code());
  const char* description = ::sigdescr_np(status.signal());
  return Cat("was ended by signal ", status.signal(),
             description == nullptr ? "" : Cat(" (", description, ")"));
}

Outcome::Outcome(const StepSpec& spec)
    : step_(spec.step), node_(spec.nodes.at(spec.node_index)), mpi_(spec.mpi) {
  for (std::uint32_t rank : spec.ranks.at(spec.node_index)) ranks_[rank].result.rank = rank;
}

std::string Outcome::Name(std::uint32_t rank) const { return Cat("rank ", rank, " on ", node_); }

void Outcome::RankStarted(std::uint32_t rank) { ranks_.at(rank).result.started = true; }
bool Outcome::RankConnected(std::uint32_t rank) {
  if (auto at = ranks_.find(rank); at != ranks_.end()) at->second.result.connected = true;
  auto stranger = Stranger();
  return stranger && FailStranger(*stranger);
}
void Outcome::RankFinalized(std::uint32_t rank) {
  if (auto at = ranks_.find(rank); at != ranks_.end()) at->second.finalized = true;
}

bool Outcome::RankExited(std::uint32_t number, std::int32_t wait_status, std::string_view why) {
  Rank& rank = ranks_.at(number);
  if (rank.exited) return false;
  rank.exited = true;
  rank.result.wait_status = wait_status;
  ++exited_;
  ExitStatus status{wait_status};
  if (status.exit_code() != 0) {
    if (terminated_ && exit_code_ == 0) exit_code_ = status.exit_code();
    return Fail(status.exit_code(), Cat(Name(number), " ", HowItEnded(status), why.empty() ? "" : ": ", why,
                                        why.empty() && !status.signaled() ? Unserved(rank) : ""));
  }
  if (auto stranger = Stranger()) return FailStranger(*stranger);
  return false;
}

// MPI libraries that find nobody to serve them say so in their own words; these say what to change.
std::string_view Outcome::Unserved(const Rank& rank) const {
  if (rank.result.connected) return "";
  if (mpi_ == MpiKind::kPmix)
    return " before it had called MPI_Init over PMIx; if its MPI library has no PMIx support, --mpi=auto "
           "offers PMI too";
  if (mpi_ == MpiKind::kPmi)
    return " before it had called MPI_Init over PMI; if its MPI library does not speak that, --mpi=auto "
           "offers PMIx too";
  return "";
}

// The first rank that left well without having been part of the MPI job. Where PMIx was only offered, ranks
// are strangers only among others that took it: `launch -n 4 hostname` is no MPI job.
std::optional<std::uint32_t> Outcome::Stranger() const {
  if (mpi_ == MpiKind::kNone || (mpi_ == MpiKind::kAuto && !any_connected())) return std::nullopt;
  for (auto& [number, rank] : ranks_) {
    if (rank.exited && rank.result.wait_status == 0 && !rank.result.connected) return number;
  }
  return std::nullopt;
}

bool Outcome::FailStranger(std::uint32_t rank) {
  const char* offered = mpi_ == MpiKind::kPmix  ? "over PMIx"
                        : mpi_ == MpiKind::kPmi ? "over PMI"
                                                : "over PMIx or PMI";
  const char* cure = mpi_ == MpiKind::kPmix  ? "has no PMIx support (--mpi=auto offers PMI too)"
                     : mpi_ == MpiKind::kPmi ? "speaks neither PMI-1 nor PMI-2 (--mpi=auto offers PMIx too)"
                                             : "speaks neither, or took another way by its own settings";
  return Fail(kNeverConnectedCode,
              Cat(Name(rank), " ended without having called MPI_Init ", offered,
                  ", so it was no part of the job: if the program is no MPI program, start it with "
                  "--mpi=none; if it is, its MPI library ",
                  cure));
}

bool Outcome::RankAborted(std::uint32_t rank, std::int32_t status) {
  return SpawnedAborted(Name(rank), status);
}

bool Outcome::SpawnedAborted(std::string_view name, std::int32_t status) {
  std::int32_t code = status & 0xff;
  return Fail(code == 0 ? 1 : code, Cat(name, " called MPI_Abort with code ", status));
}

bool Outcome::Fail(std::int32_t exit_code, std::string_view reason) {
  if (failed_) return false;
  failed_ = true;
  exit_code_ = exit_code;
  reason_ = reason;
  return true;
}

void Outcome::Terminate(std::string_view reason) {
  if (failed_) return;
  failed_ = terminated_ = true;
  reason_ = reason;
}

bool Outcome::all_connected() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](auto& entry) { return entry.second.result.connected; });
}
bool Outcome::any_connected() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [](auto& entry) { return entry.second.result.connected; });
}

std::vector<std::uint32_t> Outcome::NotConnected() const {
  std::vector<std::uint32_t> missing;
  for (auto& [number, rank] : ranks_) {
    if (!rank.result.connected) missing.push_back(number);
  }
  return missing;
}

bool Outcome::LeftWithoutFinalize(std::uint32_t number) const {
  const Rank& rank = ranks_.at(number);
  return mpi_ != MpiKind::kNone && rank.exited && rank.result.wait_status == 0 && rank.result.connected &&
         !rank.finalized;
}

StepResult Outcome::Result(const std::vector<Lap>& laps) const {
  StepResult result{.step = step_, .exit_code = exit_code_, .reason = reason_, .laps = laps};
  if (terminated_ && exit_code_ == 0) result.exit_code = 128 + SIGTERM;  // what was cancelled did not succeed
  for (auto& [number, rank] : ranks_) result.ranks.push_back(rank.result);
  return result;
}

}  // namespace slipway
