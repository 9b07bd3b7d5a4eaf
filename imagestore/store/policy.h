// SPDX-License-Identifier: Apache-2.0
// Who may run which images: an admin's rules in the catalogue, asked at every submission. Pure.
//
//   deny  PATTERN --user or --group …   they may not, whatever else is said
//   deny  PATTERN                       nobody may, unless a rule with a narrower pattern allows it
//   allow PATTERN [--user, --group …] [--signed-by KEY …]
//                                       of the allowing rules with the narrowest pattern that fits, one must
//                                       fit the user, and the image must be signed by one of that rule's keys
//   no rule fits                        everybody may
//
// PATTERN: "project/name:tag", "project/name" (every tag), "project/*", or "*". An image without a name (a
// file of the user's, or a digest that no name has or had) is fitted by "*" alone. A digest that has names
// may be run by whoever may run it by one of them: giving it another name is no way round, for that asks the
// same question.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::store {

struct PolicySubject {
  bool group = false;
  std::uint32_t id = 0;  // uid or gid
  std::string name;      // of the account, for people
  bool operator==(const PolicySubject&) const = default;
};

struct PolicyRule {
  std::int64_t id = 0;
  bool allow = false;
  std::string pattern;
  std::vector<PolicySubject> subjects;  // empty: everybody
  std::vector<std::string> keys;        // of an allowing rule: fingerprints, as `slipway verify` writes them
  std::uint32_t by_uid = 0;
  std::int64_t created = 0;  // milliseconds since 1970
};
// "rule 3 (allow physics/* to group phys, signed by ABCD)"
std::string RuleText(const PolicyRule& rule);

// kInvalidArgument says what a pattern looks like; the result has the project that "name" leaves out.
Result<std::string> ParsePattern(std::string_view text);

struct PolicyUser {
  std::uint32_t uid = 0;
  std::vector<std::uint32_t> groups;
  std::string name;
};
bool IsMeant(const PolicySubject& subject, const PolicyUser& user);
std::string SubjectsText(
    const std::vector<PolicySubject>& subjects);  // "user ann, group phys"; the first few

struct PolicyImage {
  std::string reference;           // as the user wrote it, for people
  std::vector<std::string> names;  // "project/name:tag", those that the question is about
  std::vector<std::string> keys;   // that signed it
};

// Why not, in one line that names image and rule and what would allow it; nothing: he may.
std::optional<std::string> WhyNotAllowed(const std::vector<PolicyRule>& rules, const PolicyUser& user,
                                         const PolicyImage& image);

}  // namespace slipway::store
