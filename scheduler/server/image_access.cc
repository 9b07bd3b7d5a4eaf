// SPDX-License-Identifier: Apache-2.0
// Who may see, name and run which image.
#include <sys/stat.h>

#include <algorithm>

#include "base/crypto/crypto.h"
#include "scheduler/server/clock.h"
#include "scheduler/server/image_desk.h"
#include "scheduler/server/users.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kMpiKeptMax = 4096, kResolvedMax = 4096;
// What the catalogue does not know of, like the groups of somebody, may be told wrong for so long.
constexpr auto kResolvedFor = std::chrono::seconds(1);
// Each note is a commit of the catalogue's, behind which all that asks of images waits.
constexpr Duration kNoteUsesEvery = std::chrono::seconds(5);
constexpr std::string_view kDigestPrefix = "sha256:";

// An account that is unknown here is in no group.
store::PolicyUser UserOf(const Requester& by) {
  auto user = LookUpUser(by.uid);
  return {by.uid, user ? user->groups : std::vector<std::uint32_t>{}, NameOfUid(by.uid)};
}

store::NamedImage Named(const store::ImageRecord& record) {
  return {record.name, record.owner_uid, NameOfUid(record.owner_uid)};
}

Failure NotHere(const std::string& digest) {
  return Fail(Code::kNotFound, "image ", digest, " is not here; upload it first");
}

bool IsHolder(const store::ImageFacts& facts, std::uint32_t uid) {
  return std::find(facts.holders.begin(), facts.holders.end(), uid) != facts.holders.end();
}

}  // namespace

std::unique_lock<std::mutex> ImageDesk::LockFor(const Requester& by) {
  [[maybe_unused]] auto known_now = LookUpUser(by.uid);
  return std::unique_lock(mutex_);
}

store::Viewer ImageDesk::ViewerOf(const Requester& by) const {
  store::PolicyUser user = UserOf(by);
  return {by.uid, user.groups, by.admin, projects_.Of(user)};
}

Result<std::uint64_t> ImageDesk::StoredSize(const std::string& digest) const {
  auto file = blobs_.OpenForReading(digest);
  struct stat facts;
  if (!file || ::fstat(file->get(), &facts) < 0) return NotHere(digest);
  return static_cast<std::uint64_t>(facts.st_size);
}

// A digest that only names he does not see have is not told, unless he brought it himself.
Result<ImageDesk::Seen> ImageDesk::See(const std::string& reference, const Requester& by) {
  store::Viewer viewer = ViewerOf(by);
  Seen seen;
  if (!reference.starts_with(kDigestPrefix)) {
    seen.record = TRY(catalogue_.Resolve(reference, viewer));
    seen.record.size = TRY(StoredSize(seen.record.digest));
    if (auto facts = TRY(catalogue_.FindImage(seen.record.digest))) seen.facts = std::move(*facts);
    return seen;
  }
  if (!IsDigest(reference))
    return Fail(Code::kInvalidArgument, "image \"", reference.substr(0, 100),
                "\": a digest is sha256: and 64 hex digits");
  seen.record.digest = reference;
  seen.record.size = TRY(StoredSize(reference));
  if (auto facts = TRY(catalogue_.FindImage(reference))) seen.facts = std::move(*facts);
  std::vector<store::ImageRecord> names = TRY(catalogue_.NamesOf(reference));
  bool seen_by_name = std::any_of(names.begin(), names.end(),
                                  [&](const store::ImageRecord& record) { return MaySee(record, viewer); });
  if (!names.empty() && !seen_by_name && !by.admin && !IsHolder(seen.facts, by.uid))
    return NotHere(reference);
  if (!names.empty()) seen.record.arch = names[0].arch;
  return seen;
}

Result<std::string> ImageDesk::WhyNot(const Seen& image, const std::string& reference, const Requester& by) {
  if (rules_.empty()) return std::string();
  store::PolicyImage what{.reference = reference};
  for (const store::Signer& one : image.facts.signers) what.keys.push_back(one.key);
  if (!image.record.name.empty()) {
    what.names = {image.record.name};
  } else {
    store::Viewer viewer = ViewerOf(by);
    for (const store::ImageRecord& record : TRY(catalogue_.NamesOf(image.record.digest)))
      if (MaySee(record, viewer)) what.names.push_back(record.name);
  }
  return store::WhyNotAllowed(rules_, UserOf(by), what).value_or("");
}

Result<ImageRef> ImageDesk::Resolve(const std::string& reference, const Requester& by) {
  if (reference.empty())
    return Fail(Code::kInvalidArgument, "no image was given: every step runs in one (--image)");
  auto lock = LockFor(by);
  auto now = std::chrono::steady_clock::now();
  ResolveKey key{reference, by.uid, by.admin};
  auto known = resolved_.find(key);
  if (known != resolved_.end() && known->second.changes == catalogue_.Changes() && now < known->second.until)
    return known->second.image;
  Seen seen = TRY(See(reference, by));
  if (std::string why = TRY(WhyNot(seen, reference, by)); !why.empty())
    return Fail(Code::kPermissionDenied, why);
  if (seen.facts.damaged)
    return Fail(Code::kDataLoss, "image ", reference,
                " is damaged on the controller; add it again (slipway image verify says more)");
  Pin(seen.record.digest);
  ImageRef image{reference, seen.record.digest, seen.record.size};
  if (resolved_.size() >= kResolvedMax) resolved_.clear();
  resolved_[key] = {image, catalogue_.Changes(), now + kResolvedFor};
  return image;
}

void ImageDesk::Pin(const std::string& digest) {
  pinned_[digest] = std::chrono::steady_clock::now() + std::chrono::minutes(10);
}

bool ImageDesk::Pinned(const std::string& digest) {
  auto now = std::chrono::steady_clock::now();
  std::erase_if(pinned_, [&](const auto& pin) { return pin.second < now; });
  return pinned_.contains(digest);
}

Result<> ImageDesk::CheckMpi(const ImageRef& image, MpiKind mpi) {
  if (mpi != MpiKind::kAuto || image.digest.empty()) return {};
  std::lock_guard lock(mutex_);
  auto known = mpi_of_.find(image.digest);
  if (known == mpi_of_.end()) {
    auto facts = TRY(catalogue_.FindImage(image.digest));
    if (mpi_of_.size() >= kMpiKeptMax) mpi_of_.clear();
    known = mpi_of_
                .emplace(image.digest,
                         facts && facts->content ? facts->content->mpi : std::vector<content::Mpi>{})
                .first;
  }
  auto why = content::WhyNot(known->second, content::WireUp::kAny);
  if (!why) return {};
  return Fail(Code::kFailedPrecondition, "image ", image.reference, ": its ", *why,
              "; --mpi=none starts the tasks without MPI, --mpi=pmix those that bring their own");
}

std::string ImageDesk::LibcOf(const std::string& digest) {
  std::lock_guard lock(mutex_);
  if (auto known = libc_of_.find(digest); known != libc_of_.end()) return known->second;
  auto facts = catalogue_.FindImage(digest);
  if (!facts || !*facts || !(*facts)->content) return {};
  if (libc_of_.size() >= kMpiKeptMax) libc_of_.clear();
  return libc_of_[digest] = (*facts)->content->libc;
}

void ImageDesk::NoteUse(const std::string& digest) {
  std::lock_guard lock(mutex_);
  bool waits = !uses_.empty();
  PendingUse& use = uses_[digest];
  ++use.jobs;
  use.last_ms = NowMs();
  if (waits) return;
  Duration since = loop_.Now() - uses_noted_;
  uses_timer_ = loop_.After(since < kNoteUsesEvery ? kNoteUsesEvery - since : Duration(0), [this] {
    uses_noted_ = loop_.Now();
    worker_->Post([this] { WriteUses(); });
  });
}

// Only what people like to know is lost when we are killed before.
void ImageDesk::WriteUses() {
  std::lock_guard lock(mutex_);
  for (auto& [digest, use] : std::exchange(uses_, {}))
    [[maybe_unused]] auto noted = catalogue_.NoteUse(digest, use.jobs, use.last_ms);
}

// ---- Names

Result<ImageDesk::Seen> ImageDesk::Show(const std::string& reference, const Requester& by) {
  auto lock = LockFor(by);
  return See(reference, by);
}

Result<std::vector<ImageDesk::Seen>> ImageDesk::List(const Requester& by) {
  auto lock = LockFor(by);
  store::Viewer viewer = ViewerOf(by);
  std::map<std::string, store::ImageFacts> facts;
  for (store::ImageFacts& one : TRY(catalogue_.Images())) facts[one.digest] = std::move(one);
  std::vector<Seen> list;
  for (store::ImageRecord& record : TRY(catalogue_.List())) {
    if (!MaySee(record, viewer)) continue;
    auto known = facts.find(record.digest);
    store::ImageFacts of = known == facts.end() ? store::ImageFacts{} : known->second;
    list.push_back({std::move(record), std::move(of)});
  }
  return list;
}

Result<std::vector<std::string>> ImageDesk::NamesOf(const std::string& digest, const Requester& by) {
  auto lock = LockFor(by);
  store::Viewer viewer = ViewerOf(by);
  std::vector<std::string> names;
  for (const store::ImageRecord& record : TRY(catalogue_.NamesOf(digest)))
    if (MaySee(record, viewer)) names.push_back(record.name);
  return names;
}

Result<std::string> ImageDesk::WhyNotAllowed(const Seen& image, const std::string& reference,
                                             const Requester& by) {
  auto lock = LockFor(by);
  return WhyNot(image, reference, by);
}

// Who gives a name to what he did not bring must be allowed to run it: another name would be a way round the
// rule.
Result<ImageDesk::Seen> ImageDesk::Add(const std::string& name, const std::string& reference,
                                       store::Visibility visibility, std::uint32_t group,
                                       const Requester& by) {
  store::ImageName parsed = TRY(store::ParseImageName(name));
  auto lock = LockFor(by);
  Seen seen = TRY(See(reference, by));
  if (!by.admin && !IsHolder(seen.facts, by.uid)) {
    if (std::string why = TRY(WhyNot(seen, reference, by)); !why.empty())
      return Fail(Code::kPermissionDenied, why);
  }
  store::ImageRecord record{
      .name = parsed.Text(),
      .digest = seen.record.digest,
      .source_digest = seen.facts.source_digest.empty() ? seen.record.digest : seen.facts.source_digest,
      .owner_uid = by.uid,
      .created = NowMs(),
      .size = seen.record.size,
      .visibility = visibility,
      .group = group,
      .by_uid = by.uid};
  if (seen.facts.content) {
    record.arch = seen.facts.content->arch;
    record.labels = {seen.facts.content->labels.begin(), seen.facts.content->labels.end()};
  }
  auto old = catalogue_.Resolve(record.name);
  if (!old && old.error().code != Code::kNotFound) return Failure(old.error());
  if (old) record.owner_uid = old->owner_uid;  // whoever moves a name, it stays its owner's
  if (!by.admin) {
    TRY(old ? projects_.MayMove(UserOf(by), Named(*old)) : projects_.MayMake(UserOf(by), parsed.project));
    TRY(CheckRoom(Cat("project:", parsed.project), record.digest, record.size));
    TRY(CheckRoom(Cat("user:", by.uid), record.digest, record.size));
  }
  TRY(catalogue_.Add(record));
  return See(record.name, by);
}

Result<ImageDesk::Seen> ImageDesk::Share(const std::string& name, store::Visibility visibility,
                                         std::uint32_t group, const Requester& by) {
  auto lock = LockFor(by);
  Seen seen = TRY(See(name, by));
  if (seen.record.name.empty())
    return Fail(Code::kInvalidArgument, "a digest has no visibility, its names have");
  TRY(CheckTakeAway(seen, by));
  TRY(catalogue_.SetVisibility(seen.record.name, seen.record.owner_uid, visibility, group));
  return See(name, by);
}

Result<> ImageDesk::Untag(const std::string& name, const Requester& by) {
  auto lock = LockFor(by);
  Seen seen = TRY(See(name, by));
  if (seen.record.name.empty())
    return Fail(Code::kInvalidArgument, "a digest is no name that could be taken off");
  TRY(CheckTakeAway(seen, by));
  TRY(catalogue_.Remove(seen.record.name, seen.record.owner_uid));
  return {};
}

Result<> ImageDesk::CheckTakeAway(const Seen& image, const Requester& by) const {
  if (by.admin) return {};
  return projects_.MayTakeAway(UserOf(by), Named(image.record));
}

Result<ImageDesk::Past> ImageDesk::History(const std::string& name, const Requester& by) {
  auto lock = LockFor(by);
  store::ImageRecord record = TRY(catalogue_.Resolve(name, ViewerOf(by)));
  Past past{.name = record.name, .meanings = TRY(catalogue_.History(record.name))};
  for (const store::Meaning& one : past.meanings) past.stored.push_back(blobs_.Has(one.digest));
  return past;
}

// ---- Execution policy

Result<std::vector<store::PolicyRule>> ImageDesk::Rules() {
  std::lock_guard lock(mutex_);
  return rules_;
}

Result<store::PolicyRule> ImageDesk::AddRule(store::PolicyRule rule) {
  std::lock_guard lock(mutex_);
  for (const store::PolicyRule& one : rules_) {  // said twice, it is one rule
    if (one.allow == rule.allow && one.pattern == rule.pattern && one.subjects == rule.subjects &&
        one.keys == rule.keys)
      return one;
  }
  rule.created = NowMs();
  rule.id = TRY(catalogue_.AddRule(rule));
  rules_ = TRY(catalogue_.Rules());
  return rule;
}

Result<> ImageDesk::RemoveRule(std::int64_t id) {
  std::lock_guard lock(mutex_);
  TRY(catalogue_.RemoveRule(id));
  rules_ = TRY(catalogue_.Rules());
  return {};
}

// ---- Projects

Result<> ImageDesk::ReadProjects() {
  projects_ = store::Projects(TRY(catalogue_.Projects()), options_.projects_open);
  return {};
}

Result<std::vector<store::Project>> ImageDesk::ListProjects() {
  std::lock_guard lock(mutex_);
  std::vector<store::Project> list;
  for (const auto& [name, project] : projects_.given()) list.push_back(project);
  return list;
}

Result<store::Project> ImageDesk::ChangeProject(const std::string& name, const store::ProjectChange& change,
                                                const Requester& by) {
  auto lock = LockFor(by);
  if (!by.admin) TRY(projects_.MayChange(UserOf(by), name));
  const store::Project* given = projects_.Find(name);
  store::Project project = TRY(store::Changed(
      given != nullptr ? *given : store::Project{.name = name, .by_uid = by.uid, .created = NowMs()},
      change));
  if (!by.admin && project.owners.empty())
    return Fail(Code::kInvalidArgument, "the project ", name,
                " would have no owner; an administrator may do that");
  TRY(catalogue_.SetProject(project));
  TRY(ReadProjects());
  return project;
}

Result<> ImageDesk::OpenProject(const std::string& name) {
  std::lock_guard lock(mutex_);
  TRY(catalogue_.RemoveProject(name));
  return ReadProjects();
}

}  // namespace slipway::scheduler
