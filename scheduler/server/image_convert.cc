// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/image_convert.h"

#include <grp.h>

#include <algorithm>
#include <optional>

#include "base/crypto/crypto.h"
#include "scheduler/server/users.h"

namespace slipway::scheduler {
namespace {

constexpr int kRuleListMax = 256;
constexpr std::string_view kGroup = "group:", kUser = "user:", kProject = "project:";

std::optional<std::uint32_t> GidOfName(const std::string& name) {
  std::vector<char> buffer(1 << 20);
  group entry{}, *found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return entry.gr_gid;
}

std::string NameOfGid(std::uint32_t gid) {
  std::vector<char> buffer(1 << 20);
  group entry{}, *found = nullptr;
  if (::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return Cat(gid);
  return entry.gr_name;
}

Result<std::uint32_t> Gid(const std::string& name) {
  auto gid = GidOfName(name);
  if (!gid) return Fail(Code::kNotFound, "the controller's host has no group ", name.substr(0, 80));
  return *gid;
}

Result<std::uint32_t> Uid(const std::string& name) {
  auto uid = UidOfName(name);
  if (!uid) return Fail(Code::kNotFound, "the controller's host has no account ", name.substr(0, 80));
  return *uid;
}

// As `slipway verify` writes keys; people type PGP fingerprints in small letters and with blanks, too.
Result<std::string> KeyOf(std::string text) {
  if (IsDigest(text)) return text;
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  bool hex = text.size() == 40 && text.find_first_not_of("0123456789ABCDEF") == std::string::npos;
  if (hex) return text;
  return Fail(Code::kInvalidArgument, "\"", text.substr(0, 100),
              "\" is no key: a PGP fingerprint has 40 hex digits, that of a PEM key is sha256: and 64");
}

std::string VisibilityText(const store::ImageRecord& record) {
  switch (record.visibility) {
    case store::Visibility::kPrivate:
      return "private";
    case store::Visibility::kGroup:
      return Cat(kGroup, NameOfGid(record.group));
    default:
      return "public";
  }
}

}  // namespace

Result<Audience> AudienceOf(const std::string& text) {
  if (text.empty() || text == "public") return Audience{};
  if (text == "private") return Audience{store::Visibility::kPrivate, 0};
  if (text.starts_with(kGroup))
    return Audience{store::Visibility::kGroup, TRY(Gid(text.substr(kGroup.size())))};
  return Fail(Code::kInvalidArgument, "visibility is public, group:NAME or private, not \"",
              text.substr(0, 80), "\"");
}

Result<std::string> SubjectOf(const std::string& text) {
  if (text.starts_with(kUser)) return Cat(kUser, TRY(Uid(text.substr(kUser.size()))));
  if (text.starts_with(kProject) && ProjectNameOf(text.substr(kProject.size()))) return text;
  return Fail(Code::kInvalidArgument, "\"", text.substr(0, 80), "\" is neither user:NAME nor project:NAME");
}

std::string SubjectText(const std::string& subject) {
  if (!subject.starts_with(kUser)) return subject;
  return Cat(
      kUser,
      NameOfUid(static_cast<std::uint32_t>(std::strtoul(subject.c_str() + kUser.size(), nullptr, 10))));
}

Result<std::string> ProjectNameOf(const std::string& text) {
  if (auto name = store::ParseImageName(text + "/x"); name && name->project == text) return text;
  return Fail(Code::kInvalidArgument, "\"", text.substr(0, 80),
              "\" is no project; in physics/mpi:4.1 the project is physics");
}

Result<store::ProjectChange> ChangeOf(const v1::ChangeProjectRequest& in) {
  auto people = [](const auto& words) -> Result<std::vector<store::PolicySubject>> {
    std::vector<store::PolicySubject> out;
    if (words.size() > static_cast<int>(store::kProjectPeopleMax))
      return Fail(Code::kInvalidArgument, "at most ", store::kProjectPeopleMax, " people at a time");
    for (const std::string& word : words) {
      std::string name = word.substr(word.find(':') + 1);
      if (word.starts_with(kUser)) {
        out.push_back({false, TRY(Uid(name)), name});
      } else if (word.starts_with(kGroup)) {
        out.push_back({true, TRY(Gid(name)), name});
      } else {
        return Fail(Code::kInvalidArgument, "\"", word.substr(0, 80),
                    "\" is neither user:NAME nor group:NAME");
      }
    }
    return out;
  };
  store::ProjectChange change;
  change.owners = TRY(people(in.owners()));
  change.members = TRY(people(in.members()));
  change.leave = TRY(people(in.leave()));
  return change;
}

void ToProto(const store::Project& in, v1::Project* out) {
  auto text = [](const store::PolicySubject& one) { return Cat(one.group ? kGroup : kUser, one.name); };
  out->set_name(in.name);
  for (const store::PolicySubject& one : in.owners) out->add_owners(text(one));
  for (const store::PolicySubject& one : in.members) out->add_members(text(one));
  out->set_by(NameOfUid(in.by_uid));
  out->set_created_ms(in.created);
}

Result<store::PolicyRule> RuleOf(const v1::PolicyRule& in) {
  if (in.users_size() + in.groups_size() > kRuleListMax || in.keys_size() > kRuleListMax)
    return Fail(Code::kInvalidArgument, "a rule has at most ", kRuleListMax, " users, groups or keys");
  store::PolicyRule rule{.allow = in.allow(), .pattern = TRY(store::ParsePattern(in.pattern()))};
  for (const std::string& name : in.users()) rule.subjects.push_back({false, TRY(Uid(name)), name});
  for (const std::string& name : in.groups()) rule.subjects.push_back({true, TRY(Gid(name)), name});
  for (const std::string& key : in.keys()) rule.keys.push_back(TRY(KeyOf(key)));
  if (!rule.allow && !rule.keys.empty())
    return Fail(Code::kInvalidArgument, "a key belongs to what is allowed: slipway image allow ",
                rule.pattern, " --signed-by KEY");
  return rule;
}

void ToProto(const store::PolicyRule& in, v1::PolicyRule* out) {
  out->set_id(in.id);
  out->set_allow(in.allow);
  out->set_pattern(in.pattern);
  for (const store::PolicySubject& one : in.subjects)
    one.group ? out->add_groups(one.name) : out->add_users(one.name);
  for (const std::string& key : in.keys) out->add_keys(key);
  out->set_by(NameOfUid(in.by_uid));
  out->set_created_ms(in.created);
}

void ToProto(const ImageDesk::Seen& in, v1::Image* out) {
  const store::ImageRecord& record = in.record;
  bool named = !record.name.empty();
  out->set_name(record.name);
  out->set_digest(record.digest);
  out->set_source_digest(named ? record.source_digest : in.facts.source_digest);
  out->set_bytes(record.size);
  if (named) out->set_owner(NameOfUid(record.owner_uid));
  out->set_added_ms(named ? record.created : in.facts.created);
  for (const auto& [key, value] : record.labels) out->add_labels(Cat(key, "=", value));
  if (!named && in.facts.content) {
    for (const auto& [key, value] : in.facts.content->labels) out->add_labels(Cat(key, "=", value));
  }
  out->set_arch(record.arch.empty() && in.facts.content ? in.facts.content->arch : record.arch);
  if (named) out->set_visibility(VisibilityText(record));
  out->set_last_used_ms(in.facts.last_used);
  out->set_jobs(in.facts.jobs);
  for (const store::Signer& one : in.facts.signers) {
    v1::ImageSigner* signer = out->add_signers();
    signer->set_key(one.key);
    signer->set_name(one.name);
  }
}

void ToProto(const content::Content& in, v1::ImageDetails* out) {
  out->set_inspected(true);
  out->set_system(in.system);
  out->set_libc(in.libc);
  out->set_pmix(in.pmix);
  out->set_cuda(in.cuda);
  for (const content::Mpi& mpi : in.mpi) {
    content::MpiVerdict verdict = content::Diagnose(mpi);
    v1::ImageMpi* told = out->add_mpi();
    told->set_family(mpi.family);
    told->set_version(mpi.version);
    told->set_path(mpi.path);
    told->set_pmix_version(mpi.pmix_version);
    told->set_can(verdict.can);
    told->set_how(verdict.how);
    told->set_says(verdict.says);
    told->set_cure(verdict.cure);
  }
  for (const content::Package& one : in.packages) {
    v1::ImagePackage* told = out->add_packages();
    told->set_kind(one.kind);
    told->set_name(one.name);
    told->set_version(one.version);
    told->set_arch(one.arch);
  }
  for (const std::string& note : in.notes) out->add_notes(note);
}

void ToProto(const store::Finding& in, std::size_t left, v1::VerifyFinding* out) {
  out->set_digest(in.digest);
  for (const std::string& name : in.names) out->add_names(name);
  out->set_state(store::FindingName(in.state));
  out->set_well(in.well());
  out->set_bytes(in.bytes);
  out->set_what(in.what);
  out->set_cure(in.cure);
  out->set_left(static_cast<std::uint32_t>(left));
}

}  // namespace slipway::scheduler
