// SPDX-License-Identifier: Apache-2.0
#include "agent/health/verdict.h"

#include "base/text/text.h"

namespace slipway {

CheckAnswer AnswerOf(const ProgramEnd& end, std::chrono::seconds deadline) {
  CheckAnswer answer;
  if (end.good()) return {CheckAnswer::kOk, {}};
  answer.words = Cat("health check: ", Describe(end, deadline));
  if (end.how == ProgramEnd::kTimedOut || (end.how == ProgramEnd::kExited && end.code == 2))
    answer.level = CheckAnswer::kCritical;
  if (end.how == ProgramEnd::kExited && end.code == 1) answer.level = CheckAnswer::kWarning;
  return answer;
}

void Verdict::Set(const std::string& source, std::vector<std::string> complaints) {
  if (complaints.empty()) {
    complaints_.erase(source);
  } else {
    complaints_[source] = std::move(complaints);
  }
}

std::string Verdict::Reason() const {
  constexpr std::size_t kBytesMax = 256;
  std::vector<std::string> all;
  for (const auto& [source, complaints] : complaints_)
    all.insert(all.end(), complaints.begin(), complaints.end());
  return Join(all, "; ").substr(0, kBytesMax);
}

}  // namespace slipway
