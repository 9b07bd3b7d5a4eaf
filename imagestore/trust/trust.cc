// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/trust.h"

#include <algorithm>
#include <set>

#include "imagestore/trust/dsse.h"
#include "imagestore/trust/integrity.h"
#include "imagestore/trust/pgp.h"

namespace slipway::trust {

namespace {

constexpr std::size_t kSignatureMax = 16 << 20;

std::set<std::uint32_t> AllGroups(const sif::Image& image) {
  std::set<std::uint32_t> groups;
  for (const sif::Descriptor& d : image.descriptors) {
    if (d.group != 0) groups.insert(d.group);
  }
  return groups;
}

bool IsPrimary(const sif::Descriptor& d) {
  return d.type == sif::DataType::kPartition && d.part_type() == sif::PartType::kPrimarySystem;
}

std::set<std::uint32_t> GroupsAskedFor(const sif::Image& image, const VerifyOptions& options) {
  if (options.group) return {*options.group};
  if (!options.all) {
    for (const sif::Descriptor& d : image.descriptors) {
      if (IsPrimary(d) && d.group != 0) return {d.group};
    }
  }
  return AllGroups(image);
}

std::string Kind(std::string_view bytes) {
  if (LooksLikeDsse(bytes)) return "dsse";
  if (!LooksLikeClearSigned(bytes)) return "unknown";
  return bytes.find("\nSIFHASH:\n") != std::string_view::npos ? "legacy" : "pgp";
}

// Good beats everything; wrong beats not knowing.
Checked BestOf(const std::vector<std::unique_ptr<Checker>>& checkers, std::string_view bytes,
               sif::HashType hash) {
  Checked best;
  best.state = Checked::kUnknownKey;
  best.why = "no key was given to check it by";
  for (auto& checker : checkers) {
    Checked one = checker->Check(bytes, hash);
    if (one.state == Checked::kGood) return one;
    if (best.state != Checked::kBad) best = std::move(one);
  }
  return best;
}

class Verification {
 public:
  Verification(int fd, sif::Image image, const std::vector<std::unique_ptr<Checker>>& checkers)
      : fd_(fd), image_(std::move(image)), digests_(fd, image_), checkers_(checkers) {}

  Result<VerifyReport> Run(const VerifyOptions& options) {
    if (options.copy) digests_.CopyObject(options.copy->object, options.copy->fd, options.copy->unread);
    std::set<std::uint32_t> groups = GroupsAskedFor(image_, options);
    for (const sif::Descriptor& d : image_.descriptors) {
      if (d.type == sif::DataType::kSignature && d.link_is_group && groups.contains(d.link))
        report_.signatures.push_back(TRY(Look(d)));
    }
    for (const sif::Descriptor& d : image_.descriptors) {
      if (d.type == sif::DataType::kSignature && d.group == 0) continue;
      // What containers run from is asked for even where it is in no group, so that nothing could sign it.
      bool asked_for =
          groups.contains(d.group) || (options.all && d.group == 0) || (!options.group && IsPrimary(d));
      if (!asked_for) continue;
      (covered_.contains(d.id) ? report_.verified_objects : report_.unverified_objects).push_back(d.id);
    }
    report_.copy_digest = digests_.promised();
    Conclude();
    return std::move(report_);
  }

 private:
  Result<SignatureReport> Look(const sif::Descriptor& object) {
    SignatureReport one{.object = object.id, .group = object.link};
    std::string bytes = TRY(sif::ReadObject(fd_, object, kSignatureMax));
    one.kind = Kind(bytes);
    if (one.kind == "legacy" || one.kind == "unknown") {
      one.checked.state = Checked::kUnusable;
      one.checked.why = one.kind == "legacy"
                            ? "of an old kind that does not cover the file's header and descriptors"
                            : "neither PGP nor DSSE";
      return one;
    }
    one.checked = BestOf(checkers_, bytes, object.hash_type());
    if (one.checked.state != Checked::kGood) return one;
    std::string said = object.fingerprint();
    if (one.kind == "pgp" && said != one.checked.key) {
      Wrong(one, Cat("its descriptor says that the key is ", said.empty() ? "none" : said));
      return one;
    }
    auto metadata = ParseMetadata(one.checked.text);
    if (!metadata) {
      Wrong(one, metadata.error().message);
      return one;
    }
    auto ids = CheckMetadata(*metadata, digests_, image_, object.link);
    if (!ids) {
      if (ids.error().code != Code::kDataLoss && ids.error().code != Code::kNotFound)
        return Failure(std::move(ids).error());
      Wrong(one, ids.error().message);
      return one;
    }
    one.objects = std::move(*ids);
    covered_.insert(one.objects.begin(), one.objects.end());
    return one;
  }

  static void Wrong(SignatureReport& one, std::string why) {
    one.checked.state = Checked::kBad;
    one.checked.text.clear();
    one.checked.why = std::move(why);
  }

  void Conclude() {
    for (const SignatureReport& one : report_.signatures) {
      if (one.checked.state == Checked::kBad && report_.why.empty())
        report_.why = Cat("signature object ", one.object, " is wrong: ", one.checked.why);
    }
    if (!report_.why.empty()) return;
    if (report_.signatures.empty()) {
      report_.why = "it is not signed";
    } else if (!report_.unverified_objects.empty()) {
      report_.why = Cat("object ", report_.unverified_objects[0], " has no good signature");
      for (const SignatureReport& one : report_.signatures) {
        if (one.checked.state == Checked::kGood) continue;
        report_.why += Cat("; signature object ", one.object, " does not count: ", one.checked.why);
        break;
      }
    } else if (report_.verified_objects.empty()) {
      report_.why = "there is nothing in it that could be verified";
    } else {
      report_.verified = true;
    }
  }

  int fd_;
  sif::Image image_;
  Digests digests_;
  const std::vector<std::unique_ptr<Checker>>& checkers_;
  std::set<std::uint32_t> covered_;
  VerifyReport report_;
};

}  // namespace

Result<std::vector<std::uint32_t>> Sign(sif::Editor& editor, Signer& signer,
                                        std::vector<std::uint32_t> groups) {
  if (groups.empty()) {
    std::set<std::uint32_t> all = AllGroups(editor.image());
    groups.assign(all.begin(), all.end());
  }
  if (groups.empty())
    return Fail(Code::kInvalidArgument, "there is no group of objects in it that could be signed");
  std::vector<std::uint32_t> ids;
  for (std::uint32_t group : groups) {
    sif::Image image = editor.image();
    Digests digests(editor.fd(), image);
    Metadata metadata = TRY(MakeMetadata(digests, image, group));
    SignedText made = TRY(signer.Sign(MetadataJson(metadata)));
    ids.push_back(TRY(editor.Add({.type = sif::DataType::kSignature,
                                  .group = 0,
                                  .link = group,
                                  .link_is_group = true,
                                  .extra = sif::SignatureExtra(made.hash, made.fingerprint)},
                                 made.bytes)));
  }
  return ids;
}

Result<VerifyReport> Verify(int fd, const std::vector<std::unique_ptr<Checker>>& checkers,
                            const VerifyOptions& options) {
  return Verification(fd, TRY(sif::Read(fd)), checkers).Run(options);
}

}  // namespace slipway::trust
