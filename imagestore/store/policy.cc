// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/policy.h"

#include <algorithm>

#include "base/text/text.h"
#include "imagestore/store/image_name.h"

namespace slipway::store {
namespace {

constexpr std::size_t kSubjectsShown = 4;

// How narrow a pattern is; -1: it does not fit. `name` is empty for an image without one.
int Fit(const std::string& pattern, const std::string& name) {
  if (pattern == "*") return 0;
  if (name.empty()) return -1;
  if (pattern.ends_with("/*"))
    return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1)) ? 1 : -1;
  if (pattern.find(':') != std::string::npos) return pattern == name ? 3 : -1;
  return name.size() > pattern.size() && name.starts_with(pattern) && name[pattern.size()] == ':' ? 2 : -1;
}

bool FitsUser(const PolicyRule& rule, const PolicyUser& user) {
  return rule.subjects.empty() ||
         std::any_of(rule.subjects.begin(), rule.subjects.end(),
                     [&](const PolicySubject& subject) { return IsMeant(subject, user); });
}
bool FitsKeys(const PolicyRule& rule, const PolicyImage& image) {
  return rule.keys.empty() || std::any_of(rule.keys.begin(), rule.keys.end(), [&](const std::string& key) {
           return std::find(image.keys.begin(), image.keys.end(), key) != image.keys.end();
         });
}

// For one name of the image (or none).
std::optional<std::string> WhyNotByName(const std::vector<PolicyRule>& rules, const PolicyUser& user,
                                        const PolicyImage& image, const std::string& name) {
  std::string what = Cat("image ", image.reference);
  std::string as = name.empty() ? "'*'" : name;
  auto may_be_run = [&](const std::string& words) {
    return Cat(what, ": ", words, "; an administrator may say: slipway image allow ", as, " --user ",
               user.name);
  };
  int narrowest = -1;
  for (const PolicyRule& rule : rules) {
    int fit = Fit(rule.pattern, name);
    if (fit < 0) continue;
    if (!rule.allow && !rule.subjects.empty() && FitsUser(rule, user))
      return Cat(what, ": you may not run it by ", RuleText(rule),
                 "; an administrator may say: slipway image deny --remove ", rule.id);
    if (rule.allow || rule.subjects.empty()) narrowest = std::max(narrowest, fit);
  }
  if (narrowest < 0) return std::nullopt;
  const PolicyRule *closed = nullptr, *other = nullptr, *unsigned_by = nullptr, *fits = nullptr;
  for (const PolicyRule& rule : rules) {
    if (Fit(rule.pattern, name) != narrowest) continue;
    if (!rule.allow && rule.subjects.empty()) closed = &rule;
    if (!rule.allow) continue;
    (!FitsUser(rule, user) ? other : !FitsKeys(rule, image) ? unsigned_by : fits) = &rule;
  }
  if (closed != nullptr) return may_be_run(Cat("nobody may run it by ", RuleText(*closed)));
  if (fits != nullptr) return std::nullopt;
  if (unsigned_by != nullptr)
    return Cat(what, ": ", RuleText(*unsigned_by), " wants it signed by ", Join(unsigned_by->keys, " or "),
               ", and ",
               image.keys.empty() ? std::string("it is not signed by any key of this site")
                                  : Cat("it is signed by ", Join(image.keys, ", ")),
               "; sign it (slipway sign) and add it again");
  return may_be_run(Cat(RuleText(*other), " is for others than you"));
}

}  // namespace

bool IsMeant(const PolicySubject& subject, const PolicyUser& user) {
  if (!subject.group) return subject.id == user.uid;
  return std::find(user.groups.begin(), user.groups.end(), subject.id) != user.groups.end();
}

std::string SubjectsText(const std::vector<PolicySubject>& subjects) {
  std::vector<std::string> words;
  for (const PolicySubject& one : subjects) {
    if (words.size() == kSubjectsShown) {
      words.push_back(Cat("and ", subjects.size() - kSubjectsShown, " more"));
      break;
    }
    words.push_back(Cat(one.group ? "group " : "user ", one.name));
  }
  return Join(words, ", ");
}

std::string RuleText(const PolicyRule& rule) {
  std::string text = Cat("rule ", rule.id, " (", rule.allow ? "allow " : "deny ", rule.pattern);
  if (!rule.subjects.empty()) text += Cat(" to ", SubjectsText(rule.subjects));
  if (!rule.keys.empty()) text += Cat(", signed by ", Join(rule.keys, " or "));
  return text + ")";
}

Result<std::string> ParsePattern(std::string_view text) {
  if (text == "*") return std::string(text);
  bool whole_project = text.ends_with("/*");
  std::string_view stem = whole_project ? text.substr(0, text.size() - 2) : text;
  auto name = ParseImageName(whole_project ? Cat(stem, "/x") : std::string(stem));
  if (!name || !name->digest.empty())
    return Fail(Code::kInvalidArgument, "\"", text.substr(0, 200),
                "\" is no pattern; patterns are project/name:tag, project/name, project/* and *");
  if (whole_project) return Cat(name->project, "/*");
  return stem.find(':') == std::string_view::npos ? Cat(name->project, "/", name->name) : name->Text();
}

std::optional<std::string> WhyNotAllowed(const std::vector<PolicyRule>& rules, const PolicyUser& user,
                                         const PolicyImage& image) {
  if (image.names.empty()) return WhyNotByName(rules, user, image, "");
  std::optional<std::string> first;
  for (const std::string& name : image.names) {
    auto why = WhyNotByName(rules, user, image, name);
    if (!why) return std::nullopt;
    if (!first) first = std::move(why);
  }
  return first;
}

}  // namespace slipway::store
