// SPDX-License-Identifier: Apache-2.0
// Who may do what: the rows of the execution policy and of the projects.
#include <nlohmann/json.hpp>

#include "imagestore/store/catalogue_state.h"

namespace slipway::store {
namespace {

using Json = nlohmann::json;

std::string SubjectsJson(const std::vector<PolicySubject>& subjects) {
  Json list = Json::array();
  for (const PolicySubject& one : subjects) list.push_back({one.group, one.id, one.name});
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<std::vector<PolicySubject>> SubjectsOfJson(const std::string& text) {
  Json list = Json::parse(text, nullptr, false);
  if (!list.is_array()) return std::nullopt;
  std::vector<PolicySubject> subjects;
  for (const Json& one : list) {
    if (!one.is_array() || one.size() != 3 || !one[0].is_boolean() || !one[1].is_number_unsigned() ||
        !one[2].is_string())
      return std::nullopt;
    subjects.push_back({one[0].get<bool>(), one[1].get<std::uint32_t>(), one[2].get<std::string>()});
  }
  return subjects;
}

// A rule that cannot be read must not become one that fits everybody.
Result<> Read(const std::string& subjects, const std::string& keys, PolicyRule& rule) {
  auto list = SubjectsOfJson(subjects);
  Json texts = Json::parse(keys, nullptr, false);
  auto damaged = [&] {
    return Fail(Code::kDataLoss, "rule ", rule.id, " of the execution policy is damaged");
  };
  if (!list || !texts.is_array()) return damaged();
  rule.subjects = std::move(*list);
  for (const Json& one : texts) {
    if (!one.is_string()) return damaged();
    rule.keys.push_back(one.get<std::string>());
  }
  return {};
}

}  // namespace

Result<std::int64_t> Catalogue::AddRule(const PolicyRule& rule) {
  sqlite3* db = state_->db.get();
  TRY(Run(db, "INSERT INTO rules (allow, pattern, subjects, keys, by_uid, created) VALUES (?, ?, ?, ?, ?, ?)",
          static_cast<std::int64_t>(rule.allow), std::string_view(rule.pattern),
          std::string_view(SubjectsJson(rule.subjects)), std::string_view(Json(rule.keys).dump()),
          std::int64_t{rule.by_uid}, rule.created));
  return std::int64_t{sqlite3_last_insert_rowid(db)};
}

Result<> Catalogue::RemoveRule(std::int64_t id) {
  TRY(Run(state_->db.get(), "DELETE FROM rules WHERE id = ?", id));
  if (sqlite3_changes(state_->db.get()) == 0) return Fail(Code::kNotFound, "there is no rule ", id);
  return {};
}

Result<std::vector<PolicyRule>> Catalogue::Rules() const {
  std::vector<PolicyRule> rules;
  auto query = TRY(Statement::Prepare(
      state_->db.get(), "SELECT id, allow, pattern, subjects, keys, by_uid, created FROM rules ORDER BY id"));
  while (TRY(query.Step())) {
    PolicyRule rule{.id = query.Number(0),
                    .allow = query.Number(1) != 0,
                    .pattern = query.Text(2),
                    .by_uid = static_cast<std::uint32_t>(query.Number(5)),
                    .created = query.Number(6)};
    TRY(Read(query.Text(3), query.Text(4), rule));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<> Catalogue::SetProject(const Project& project) {
  return Run(state_->db.get(),
             "INSERT INTO projects (name, owners, members, by_uid, created) VALUES (?, ?, ?, ?, ?) "
             "ON CONFLICT (name) DO UPDATE SET owners = excluded.owners, members = excluded.members",
             std::string_view(project.name), std::string_view(SubjectsJson(project.owners)),
             std::string_view(SubjectsJson(project.members)), std::int64_t{project.by_uid}, project.created);
}

Result<> Catalogue::RemoveProject(const std::string& name) {
  TRY(Run(state_->db.get(), "DELETE FROM projects WHERE name = ?", std::string_view(name)));
  if (sqlite3_changes(state_->db.get()) == 0)
    return Fail(Code::kNotFound, "the project ", name, " was given to nobody");
  return {};
}

Result<std::vector<Project>> Catalogue::Projects() const {
  std::vector<Project> projects;
  auto query = TRY(Statement::Prepare(
      state_->db.get(), "SELECT name, owners, members, by_uid, created FROM projects ORDER BY name"));
  while (TRY(query.Step())) {
    auto owners = SubjectsOfJson(query.Text(1)), members = SubjectsOfJson(query.Text(2));
    if (!owners || !members) return Fail(Code::kDataLoss, "the project ", query.Text(0), " is damaged");
    projects.push_back({query.Text(0), std::move(*owners), std::move(*members),
                        static_cast<std::uint32_t>(query.Number(3)), query.Number(4)});
  }
  return projects;
}

}  // namespace slipway::store
