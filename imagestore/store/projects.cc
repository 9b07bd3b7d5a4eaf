// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/projects.h"

#include <algorithm>

#include "base/text/text.h"

namespace slipway::store {
namespace {

bool Same(const PolicySubject& a, const PolicySubject& b) { return a.group == b.group && a.id == b.id; }

bool TakeOut(std::vector<PolicySubject>& people, const PolicySubject& one) {
  return std::erase_if(people, [&](const PolicySubject& other) { return Same(one, other); }) > 0;
}

bool Among(const std::vector<PolicySubject>& people, const PolicyUser& user) {
  return std::any_of(people.begin(), people.end(),
                     [&](const PolicySubject& one) { return IsMeant(one, user); });
}

std::string ProjectOf(const std::string& name) { return name.substr(0, name.find('/')); }

// "physics belongs to user ann, group phys"
std::string Whose(const Project& project) {
  return Cat("the project ", project.name, " belongs to ",
             project.owners.empty() ? std::string("administrators") : SubjectsText(project.owners));
}

Failure NotIn(const Project& project, const PolicyUser& user) {
  return Fail(Code::kPermissionDenied, Whose(project),
              ", and you are not in it; an owner may say: slipway image project ", project.name,
              " --member user:", user.name);
}

}  // namespace

Result<Project> Changed(Project project, const ProjectChange& change) {
  for (const PolicySubject& one : change.owners) {
    TakeOut(project.owners, one);
    TakeOut(project.members, one);
    project.owners.push_back(one);
  }
  for (const PolicySubject& one : change.members) {
    TakeOut(project.owners, one);
    TakeOut(project.members, one);
    project.members.push_back(one);
  }
  for (const PolicySubject& one : change.leave) {
    bool owner = TakeOut(project.owners, one), member = TakeOut(project.members, one);
    if (!owner && !member)
      return Fail(Code::kNotFound, one.group ? "group " : "user ", one.name, " is not in the project ",
                  project.name);
  }
  if (project.owners.size() + project.members.size() > kProjectPeopleMax)
    return Fail(Code::kResourceExhausted, "the project ", project.name, " would have more than ",
                kProjectPeopleMax, " owners and members; a group is one");
  return project;
}

Projects::Projects(std::vector<Project> given, bool open) : open_(open) {
  for (Project& one : given) {
    std::string name = one.name;
    given_.emplace(std::move(name), std::move(one));
  }
}

const Project* Projects::Find(const std::string& project) const {
  auto found = given_.find(project);
  return found == given_.end() ? nullptr : &found->second;
}

Projects::Role Projects::RoleOf(const PolicyUser& user, const std::string& project) const {
  const Project* given = Find(project);
  if (given == nullptr) return Role::kNone;
  return Among(given->owners, user)    ? Role::kOwner
         : Among(given->members, user) ? Role::kMember
                                       : Role::kNone;
}

std::vector<std::string> Projects::Of(const PolicyUser& user) const {
  std::vector<std::string> projects;
  for (const auto& [name, project] : given_)
    if (RoleOf(user, name) != Role::kNone) projects.push_back(name);
  return projects;
}

Result<> Projects::MayMake(const PolicyUser& user, const std::string& project) const {
  if (const Project* given = Find(project)) {
    if (RoleOf(user, project) == Role::kNone) return NotIn(*given, user);
    return {};
  }
  if (open_ || project == user.name) return {};
  return Fail(Code::kPermissionDenied, "the project ", project,
              " was given to nobody, and names are made in projects that were (or in ", user.name,
              "/); an administrator may say: slipway image project ", project, " --owner user:", user.name);
}

Result<> Projects::MayMove(const PolicyUser& user, const NamedImage& image) const {
  const std::string project = ProjectOf(image.name);
  if (const Project* given = Find(project)) {
    if (RoleOf(user, project) == Role::kNone) return NotIn(*given, user);
    return {};
  }
  if (image.owner_uid == user.uid) return {};
  return Fail(Code::kPermissionDenied, "the image ", image.name, " belongs to ", image.owner);
}

Result<> Projects::MayTakeAway(const PolicyUser& user, const NamedImage& image) const {
  const std::string project = ProjectOf(image.name);
  const Project* given = Find(project);
  if (given == nullptr) return MayMove(user, image);
  Role role = RoleOf(user, project);
  if (role == Role::kNone) return NotIn(*given, user);
  if (role == Role::kOwner || image.owner_uid == user.uid) return {};
  return Fail(Code::kPermissionDenied, "the image ", image.name, " belongs to ", image.owner, "; ",
              Whose(*given));
}

Result<> Projects::MayChange(const PolicyUser& user, const std::string& project) const {
  if (RoleOf(user, project) == Role::kOwner) return {};
  const Project* given = Find(project);
  return Fail(Code::kPermissionDenied,
              given != nullptr ? Whose(*given) : Cat("the project ", project, " was given to nobody"),
              "; who is in it is said by its owners and by administrators (controller.admins)");
}

}  // namespace slipway::store
