// SPDX-License-Identifier: Apache-2.0
// Whose is "physics/"? Administrators give a project to people, and its owners let others work in it: who may
// make names in it, move them to other images, and take them away. Pure.
//
//                        make a name, move one    take one away, say who sees it    say who is in the project
//   owners               yes                      yes                               yes
//   members              yes                      their own                         no
//   others               no                       no                                no
//   in a project that nobody was given
//   everybody            make one, where the      their own                         no
//                        site lets it; move
//                        their own
//
// Administrators may do everything; whoever asks here is none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "imagestore/store/policy.h"

namespace slipway::store {

struct Project {
  std::string name;
  std::vector<PolicySubject> owners, members;
  std::uint32_t by_uid = 0;  // who set it up
  std::int64_t created = 0;  // milliseconds since 1970
};

// What is to become different. Nobody is both: the last word counts.
struct ProjectChange {
  std::vector<PolicySubject> owners, members;  // who becomes one
  std::vector<PolicySubject> leave;            // who is neither any more
};
inline constexpr std::size_t kProjectPeopleMax = 256;
// kResourceExhausted for too many people; kNotFound for somebody who cannot leave, for he is not in it.
Result<Project> Changed(Project project, const ProjectChange& change);

struct NamedImage {
  std::string name;  // "project/name:tag"
  std::uint32_t owner_uid = 0;
  std::string owner;  // for people
};

class Projects {
 public:
  enum class Role : std::uint8_t { kNone, kMember, kOwner };

  Projects() = default;
  // `open`: everybody may make names in a project that nobody was given; else only in the one that is called
  // like his account.
  Projects(std::vector<Project> given, bool open);

  const std::map<std::string, Project>& given() const { return given_; }
  const Project* Find(const std::string& project) const;  // null: nobody was given it
  Role RoleOf(const PolicyUser& user, const std::string& project) const;
  std::vector<std::string> Of(const PolicyUser& user) const;  // those he is in, sorted

  // kPermissionDenied says in one line whose it is and what would allow it.
  Result<> MayMake(const PolicyUser& user, const std::string& project) const;
  Result<> MayMove(const PolicyUser& user, const NamedImage& image) const;
  Result<> MayTakeAway(const PolicyUser& user, const NamedImage& image) const;
  Result<> MayChange(const PolicyUser& user, const std::string& project) const;  // who is in it

 private:
  std::map<std::string, Project> given_;
  bool open_ = true;
};

}  // namespace slipway::store
