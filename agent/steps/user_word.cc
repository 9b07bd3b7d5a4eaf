// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/user_word.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr std::size_t kLapsMax = 64;

void BoundLaps(std::vector<Lap>& laps) {
  if (laps.size() > kLapsMax) laps.resize(kLapsMax);
  for (Lap& lap : laps) lap.name = OneLine(lap.name).substr(0, 64);
}

Result<> CheckRank(std::uint32_t rank, const std::vector<std::uint32_t>& ranks) {
  if (ranks.empty() || std::find(ranks.begin(), ranks.end(), rank) != ranks.end()) return {};
  return Fail(Code::kInvalidArgument, "stepd speaks for rank ", rank, ", which is not on this node");
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, kReasonBytesMax));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

Result<StepState> ReadStepState(std::string_view payload, const StepId& step) {
  StepState state = TRY(Decode<StepState>(payload, "stepd's state"));
  if (state.step != step)
    return Fail(Code::kInvalidArgument, "stepd says that it is step ", ToString(state.step));
  if (state.phase < StepPhase::kStarting || state.phase > StepPhase::kEnded)
    return Fail(Code::kInvalidArgument, "stepd's state: unknown phase ", static_cast<int>(state.phase));
  BoundLaps(state.laps);
  state.binding = OneLine(state.binding);
  return state;
}

Result<StepResult> ReadStepResult(std::string_view payload, const StepId& step,
                                  const std::vector<std::uint32_t>& ranks) {
  StepResult result = TRY(Decode<StepResult>(payload, "stepd's result"));
  if (result.step != step)
    return Fail(Code::kInvalidArgument, "stepd's result is of step ", ToString(result.step));
  if (result.exit_code < 0 || result.exit_code > 255)
    return Fail(Code::kInvalidArgument, "stepd's result: exit code ", result.exit_code);
  for (const RankResult& rank : result.ranks) TRY(CheckRank(rank.rank, ranks));
  result.reason = OneLine(result.reason);
  result.binding = OneLine(result.binding);
  BoundLaps(result.laps);
  return result;
}

Result<StepOutput> ReadStepOutput(std::string_view payload, const std::vector<std::uint32_t>& ranks) {
  StepOutput output = TRY(Decode<StepOutput>(payload, "stepd's output"));
  if (output.stream != 1 && output.stream != 2)
    return Fail(Code::kInvalidArgument, "stepd's output: stream ", static_cast<int>(output.stream));
  TRY(CheckRank(output.rank, ranks));
  return output;
}

Result<StepExchange> ReadStepExchange(std::string_view payload, std::size_t nodes) {
  if (payload.size() > kExchangeBytesMax)
    return Fail(Code::kOutOfRange, "stepd's exchange frame has ", payload.size(), " bytes");
  StepExchange exchange = TRY(Decode<StepExchange>(payload, "stepd's exchange"));
  if (exchange.node >= nodes)
    return Fail(Code::kInvalidArgument, "stepd's exchange is for node ", exchange.node, " of ", nodes);
  return exchange;
}

Result<StepRendezvous> ReadStepRendezvous(std::string_view payload) {
  if (payload.size() > kExchangeBytesMax)
    return Fail(Code::kOutOfRange, "stepd's rendezvous frame has ", payload.size(), " bytes");
  StepRendezvous word = TRY(Decode<StepRendezvous>(payload, "stepd's rendezvous"));
  word.gone = OneLine(word.gone);
  return word;
}

Result<StepResult> ReadStatusFile(const std::string& step_dir, const StepId& step,
                                  const std::vector<std::uint32_t>& ranks) {
  // The folder is the user's: what is called status may be a link or a pipe of his.
  UniqueFd file = TRY(Open(step_dir + "/status", O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (::fstat(file.get(), &status) < 0) return ErrnoFail("fstat", step_dir);
  if (!S_ISREG(status.st_mode))
    return Fail(Code::kInvalidArgument, step_dir, "/status is not a regular file");
  std::string bytes = TRY(ReadAll(file.get(), kStatusFileBytesMax));
  return ReadStepResult(bytes, step, ranks);
}

}  // namespace slipway
