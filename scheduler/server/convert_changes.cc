// SPDX-License-Identifier: Apache-2.0
// Dependencies and changes of jobs, as users write them.
#include <algorithm>

#include "base/text/text.h"
#include "base/text/units.h"
#include "scheduler/server/convert.h"
#include "slipway/v1/job.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kDependencyBytesMax = 16 << 10;
constexpr std::int32_t kPriorityMax = 1'000'000;

Result<DependencyKind> KindOf(const std::string& word) {
  constexpr std::pair<std::string_view, DependencyKind> kKinds[] = {
      {"after", DependencyKind::kAfter},         {"afterany", DependencyKind::kAfterAny},
      {"afterok", DependencyKind::kAfterOk},     {"afternotok", DependencyKind::kAfterNotOk},
      {"aftercorr", DependencyKind::kAfterCorr}, {"singleton", DependencyKind::kSingleton}};
  std::vector<std::string> names;
  for (const auto& [name, kind] : kKinds) {
    if (name == word) return kind;
    names.emplace_back(name);
  }
  std::string near = NearestWord(word, names);
  return Fail(Code::kInvalidArgument, "dependency: there is no kind \"", word.substr(0, 40), "\"; ",
              near.empty() ? Cat("there are ", Join(names, ", ")) : Cat("did you mean ", near, "?"));
}

// "12" or, after `after`, "12+5".
Result<Dependency> OneOf(DependencyKind kind, std::string_view text) {
  Dependency dependency{kind, {}, 0};
  std::size_t plus = text.find('+');
  dependency.on = {
      TRY_CONTEXT(ParseNumber(text.substr(0, plus), 1, INT64_MAX), "dependency: a job's number")};
  if (plus == std::string_view::npos) return dependency;
  if (kind != DependencyKind::kAfter)
    return Fail(Code::kInvalidArgument, "dependency: +MINUTES goes with after, not with others");
  dependency.delay_s =
      60 * static_cast<std::uint32_t>(TRY_CONTEXT(ParseNumber(text.substr(plus + 1), 0, 366 * 24 * 60),
                                                  "dependency: minutes after +"));
  return dependency;
}

}  // namespace

Result<> ReadDependencies(std::string_view text, JobSpec& spec) {
  if (text.empty()) return {};
  if (text.size() > kDependencyBytesMax) return Fail(Code::kInvalidArgument, "dependency: too long");
  bool any = text.find('?') != std::string_view::npos;
  if (any && text.find(',') != std::string_view::npos)
    return Fail(Code::kInvalidArgument, "dependency: ',' (all) and '?' (any) cannot be mixed");
  spec.any_dependency = any;
  for (const std::string& part : Split(text, any ? '?' : ',')) {
    std::vector<std::string> words = Split(part, ':');
    DependencyKind kind = TRY(KindOf(words[0]));
    if (kind == DependencyKind::kSingleton) {
      if (words.size() > 1) return Fail(Code::kInvalidArgument, "dependency: singleton takes no job");
      spec.dependencies.push_back({kind, {}, 0});
      continue;
    }
    if (words.size() < 2)
      return Fail(Code::kInvalidArgument, "dependency: ", words[0], " of which job? KIND:JOB");
    for (std::size_t i = 1; i < words.size(); ++i) spec.dependencies.push_back(TRY(OneOf(kind, words[i])));
  }
  return {};
}

Result<JobUpdate> JobUpdateOf(const v1::ChangeJobRequest& in, const Requester& by) {
  JobUpdate update;
  if (in.has_hold()) update.hold = !in.hold() ? Hold::kNone : by.admin ? Hold::kAdmin : Hold::kUser;
  if (in.has_priority()) {
    if (in.priority() > kPriorityMax) return Fail(Code::kInvalidArgument, "priority: at most ", kPriorityMax);
    update.priority = static_cast<std::int32_t>(in.priority());
  }
  if (in.has_nice()) {
    if (in.nice() > kPriorityMax || in.nice() < -kPriorityMax)
      return Fail(Code::kInvalidArgument, "nice: between -", kPriorityMax, " and ", kPriorityMax);
    update.nice = in.nice();
  }
  if (in.has_time_limit_s()) {
    if (in.time_limit_s() == 0) return Fail(Code::kInvalidArgument, "time limit: at least a second");
    update.time_limit_s = in.time_limit_s();
  }
  if (in.has_begin_ms()) {
    if (in.begin_ms() < 0 || in.begin_ms() > 253'402'300'799'000)
      return Fail(Code::kInvalidArgument, "begin: not a time before the year 10000");
    update.begin = Time{in.begin_ms() * 1000};
  }
  update.requeue = in.requeue();
  bool something =
      update.hold || update.priority || update.nice || update.time_limit_s || update.begin || update.requeue;
  if (!something) return Fail(Code::kInvalidArgument, "nothing to change");
  return update;
}

}  // namespace slipway::scheduler
