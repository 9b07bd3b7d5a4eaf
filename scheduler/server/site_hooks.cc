// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/site_hooks.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "base/log/log.h"
#include "scheduler/server/site_program.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kThreads = 4, kWaitingMax = 10'000;
constexpr std::int64_t kPriorityMax = 1'000'000;

}  // namespace

Result<std::string> RunHook(const std::string& program, std::string_view input,
                            std::chrono::milliseconds deadline) {
  SiteProgramEnd end =
      TRY_CONTEXT(RunSiteProgram({.argv = {program}, .input = input, .deadline = deadline}), program);
  switch (end.how) {
    case SiteProgramEnd::kExited:
      if (end.code == 0) return std::move(end.output);
      return Fail(Code::kInternal, program, " ended with code ", end.code);
    case SiteProgramEnd::kSignaled:
      return Fail(Code::kInternal, program, " was ended by signal ", end.code);
    case SiteProgramEnd::kTooMuch:
      return Fail(Code::kInvalidArgument, program, ": answered with more than a mebibyte");
    default:
      return Fail(Code::kDeadlineExceeded, program, ": did not answer in time and was killed");
  }
}

SiteHooks::SiteHooks(HookRules rules) : rules_(std::move(rules)) {
  if (!any()) return;
  for (std::size_t i = 0; i < kThreads; ++i) workers_.push_back(std::make_unique<Worker>());
}

void SiteHooks::Ask(std::vector<v1::HookQuestion> questions, Done done) {
  if (waiting_.fetch_add(1) >= kWaitingMax) {
    --waiting_;
    return done(Fail(Code::kUnavailable, "too many submissions wait for the site's programs; try again"));
  }
  workers_[next_.fetch_add(1) % workers_.size()]->Post(
      [this, questions = std::move(questions), done = std::move(done)] {
        Result<std::vector<v1::JobSpec>> answer = RunAll(questions);
        --waiting_;
        done(std::move(answer));
      });
}

Result<std::vector<v1::JobSpec>> SiteHooks::RunAll(std::vector<v1::HookQuestion> questions) const {
  std::vector<v1::JobSpec> specs;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (questions.size() > 1) {
      questions[i].set_component(static_cast<std::uint32_t>(i));
      questions[i].set_components(static_cast<std::uint32_t>(questions.size()));
    }
    auto spec = Run(std::move(questions[i]));
    if (!spec && questions.size() > 1) return Failure(std::move(spec).error().Context(Cat("component ", i)));
    specs.push_back(TRY(std::move(spec)));
  }
  return specs;
}

Result<v1::HookAnswer> SiteHooks::RunOne(const std::string& program, const v1::HookQuestion& question) const {
  namespace json = google::protobuf::util;
  std::string input;
  json::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  if (!json::MessageToJsonString(question, &input, print).ok())
    return Fail(Code::kInvalidArgument, "the submission has text that is not UTF-8");
  std::string output = TRY(RunHook(program, input, rules_.deadline));
  v1::HookAnswer answer;
  auto read = json::JsonStringToMessage(output.empty() ? "{}" : output, &answer);
  if (!read.ok())
    return Fail(Code::kInvalidArgument, program,
                " gave a bad answer: ", std::string(read.message()).substr(0, 200));
  if (answer.priority() < -kPriorityMax || answer.priority() > kPriorityMax)
    return Fail(Code::kInvalidArgument, program, " gave a bad answer: priority ", answer.priority());
  return answer;
}

Result<v1::JobSpec> SiteHooks::Run(v1::HookQuestion question) const {
  for (const std::string* program : {&rules_.submit_filter, &rules_.priority}) {
    if (program->empty()) continue;
    Result<v1::HookAnswer> answer = RunOne(*program, question);
    if (!answer) {
      Log(Level::kWarn, "a program of the site failed", {{"what", answer.error().message}});
      if (rules_.failure_refuses)
        return Fail(Code::kUnavailable, "the site's program for submissions failed; tell an administrator (",
                    answer.error().message, ")");
      continue;
    }
    bool filters = program == &rules_.submit_filter;
    if (filters && !answer->refuse().empty())
      return Fail(Code::kFailedPrecondition, "refused by the site: ", answer->refuse());
    if (filters && answer->has_spec()) *question.mutable_spec() = answer->spec();
    if (answer->has_priority())
      question.mutable_spec()->set_priority(
          static_cast<std::uint32_t>(std::max<std::int32_t>(answer->priority(), 0)));
  }
  return question.spec();
}

}  // namespace slipway::scheduler
