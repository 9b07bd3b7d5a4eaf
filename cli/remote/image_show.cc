// SPDX-License-Identifier: Apache-2.0
// slipway image show: all that is known of an image, whether its MPI can be started here, and its packages as
// a software bill of materials.
#include <map>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/image_json.h"
#include "cli/show/table.h"
#include "imagestore/content/sbom.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {
      .name = "slipway image show",
      .summary = "show what is known of an image: inside, signers, use, and whether its MPI can be started",
      .examples = {{"slipway image show physics/mpi:4.1", "all but the packages"},
                   {"slipway image show --packages mpi", "those, too"},
                   {"slipway image show --sbom cyclonedx mpi > mpi.cdx.json", "for scanners"}},
      .options = {{.name = "packages", .letter = 'p', .help = "list the packages"},
                  {.name = "sbom",
                   .type = Option::kString,
                   .value_name = "FORM",
                   .help = "only the bill of materials: spdx or cyclonedx",
                   .complete = "spdx|cyclonedx"},
                  JsonOption(),
                  ContextOption()},
      .positionals = {{.name = "IMAGE",
                       .arity = Positional::kOne,
                       .help = "a name, name@sha256:… or digest",
                       .complete = "image"}}};
}

class Lines {
 public:
  void Add(const std::string& key, const std::string& value) {
    if (!value.empty())
      text_ += Cat(key, std::string(key.size() < 14 ? 14 - key.size() : 1, ' '), Printable(value), "\n");
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& words) {
  return slipway::Join(std::vector<std::string>(words.begin(), words.end()), ", ");
}

std::string Counts(const v1::ImageDetails& details) {
  std::map<std::string, int> kinds;
  for (const v1::ImagePackage& one : details.packages()) ++kinds[one.kind()];
  std::vector<std::string> words;
  for (auto& [kind, count] : kinds) words.push_back(Cat(count, " ", kind));
  return slipway::Join(words, ", ");
}

void AddInside(const v1::ImageDetails& details, Lines& lines) {
  if (!details.inspected())
    return lines.Add("inside", "not known: it was imported by an older release; add it again");
  lines.Add("system", details.system());
  lines.Add("libc", details.libc());
  lines.Add("cuda", details.cuda());
  lines.Add("pmix", details.pmix());
  for (const v1::ImageMpi& mpi : details.mpi()) {
    lines.Add("mpi", mpi.says());
    if (!mpi.can()) lines.Add("  to change", mpi.cure());
  }
  if (details.mpi().empty()) lines.Add("mpi", "none was found");
  lines.Add("packages", Counts(details));
  for (const std::string& note : details.notes()) lines.Add("note", note);
}

std::string Text(const v1::ImageDetails& details) {
  const v1::Image& image = details.image();
  Lines lines;
  lines.Add("name", image.name());
  lines.Add("digest", image.digest());
  lines.Add("imported from", image.source_digest());
  lines.Add("names", Join(details.names()));
  lines.Add("size", FormatBytes(image.bytes()));
  lines.Add("owner", image.owner());
  lines.Add("brought by", Join(details.holders()));
  lines.Add("seen by", image.visibility());
  lines.Add("since", FormatMoment(image.added_ms()));
  lines.Add("used", image.jobs() == 0 ? "never"
                                      : Cat(image.jobs(), image.jobs() == 1 ? " job" : " jobs", ", last ",
                                            FormatMoment(image.last_used_ms())));
  for (const v1::ImageSigner& one : image.signers()) lines.Add("signed by", Cat(one.key(), " ", one.name()));
  if (image.signers().empty()) lines.Add("signed by", "no key of this site");
  lines.Add("you may run it", details.allowed().empty() ? "yes" : Cat("no: ", details.allowed()));
  if (details.damaged()) lines.Add("damaged", "its bytes on the controller are others; add it again");
  lines.Add("arch", image.arch());
  AddInside(details, lines);
  for (const std::string& label : image.labels()) lines.Add("label", label);
  return lines.Take();
}

Result<std::string> Sbom(const v1::ImageDetails& details, const std::string& form) {
  if (form != "spdx" && form != "cyclonedx")
    return Fail(Code::kInvalidArgument, "--sbom knows spdx and cyclonedx, not ", form);
  if (!details.inspected())
    return Fail(Code::kFailedPrecondition, "what is inside this image is not known; add it again");
  content::Content content{.system = details.system()};
  for (const v1::ImagePackage& one : details.packages())
    content.packages.push_back({one.kind(), one.name(), one.version(), one.arch()});
  const v1::Image& image = details.image();
  content::SbomSubject subject{image.name().empty() ? image.digest() : image.name(), image.digest(),
                               image.added_ms() / 1000};
  return form == "spdx" ? SpdxJson(content, subject) : CycloneDxJson(content, subject);
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::ImageQuery request;
  request.set_reference(options.positionals()[0]);
  auto details = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::Show, request));
  if (options.Has("sbom")) {
    Print(TRY(Sbom(details, options.Value("sbom"))));
    return 0;
  }
  if (options.Has("json")) {
    Print(DetailsJson(details));
    return 0;
  }
  Print(Text(details));
  if (!options.Has("packages")) return 0;
  Table table({{"KIND"}, {"PACKAGE"}, {"VERSION"}, {"ARCH"}});
  for (const v1::ImagePackage& one : details.packages())
    table.Add({one.kind(), one.name(), one.version(), one.arch()});
  Print("\n" + table.Text(WantsColour(1)));
  return 0;
}

}  // namespace

const Subcommand kImageShow{{"image", "show"}, Declare, Run};

}  // namespace slipway::cli
