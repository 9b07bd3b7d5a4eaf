// SPDX-License-Identifier: Apache-2.0
#include "agent/health/health.h"

#include <algorithm>

#include "base/log/log.h"

namespace slipway {

Health::Health(Loop& loop, HealthOptions options, Events events)
    : loop_(loop), options_(std::move(options)), events_(std::move(events)), programs_(loop) {}

Health::~Health() { loop_.Cancel(timer_); }

void Health::Start() {
  LookBuiltIn();
  if (options_.program.empty()) Update(true);
  if (!options_.program.empty() && !program_runs_) RunProgram();
  loop_.Cancel(timer_);
  timer_ = loop_.After(options_.interval, [this] { Start(); });
}

void Health::LookForJob(std::function<void(const std::string&)> done) {
  LookBuiltIn();
  if (options_.program.empty() || !options_.around_jobs) return done(reason_);
  waiting_next_.push_back(std::move(done));
  program_again_ = program_runs_;
  if (!program_runs_) RunProgram();
}

void Health::AlsoLookAt(const std::string& folder) {
  bool known = std::ranges::find(options_.folders, folder) != options_.folders.end();
  if (!folder.empty() && !known) options_.folders.push_back(folder);
}

void Health::SetComplaint(const std::string& source, std::vector<std::string> complaints) {
  verdict_.Set(source, std::move(complaints));
  Update(known_);
}

void Health::LookBuiltIn() {
  HostFacts facts = LookAtHost(options_.folders);
  facts.idle = events_.idle();
  facts.clock_ahead_ms = clock_ahead_ms_;
  std::vector<std::string> findings = JudgeHost(facts, options_.limits);
  if (events_.look) {
    for (std::string& finding : events_.look()) findings.push_back(std::move(finding));
  }
  SetComplaint("built-in", std::move(findings));
}

void Health::RunProgram() {
  program_runs_ = true;
  waiting_.swap(waiting_next_);
  programs_.Run({options_.program},
                {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", Cat("SLIPWAY_NODE=", options_.node)}, options_.timeout,
                [this](const ProgramEnd& end) { OnAnswer(end); });
}

void Health::OnAnswer(const ProgramEnd& end) {
  program_runs_ = false;
  CheckAnswer answer = AnswerOf(end, options_.timeout);
  if (answer.words != last_words_ && !answer.words.empty())
    Log(Level::kWarn, "the health check is not content", {{"node", options_.node}, {"reason", answer.words}});
  last_words_ = answer.words;
  // Who does not know does not change what was known.
  if (answer.level == CheckAnswer::kCritical) {
    verdict_.Set("program", {answer.words});
  } else if (answer.level != CheckAnswer::kUnknown) {
    verdict_.Set("program", {});
  }
  Update(true);
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (auto& done : waiting) done(reason_);
  if (std::exchange(program_again_, false) && !program_runs_) RunProgram();
}

void Health::Update(bool all_known) {
  std::string reason = verdict_.Reason();
  if (reason == reason_ && all_known == known_) return;
  known_ = all_known;
  reason_ = std::move(reason);
  events_.changed(reason_);
}

}  // namespace slipway
