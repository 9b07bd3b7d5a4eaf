// SPDX-License-Identifier: Apache-2.0
// slipway image add | pull | ls | rm: what comes into the cluster's catalogue, is in it, and goes.
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/front/fetch_image.h"
#include "cli/remote/cluster.h"
#include "cli/remote/image_options.h"
#include "cli/remote/image_upload.h"
#include "cli/remote/subcommand.h"
#include "cli/show/image_json.h"
#include "cli/show/table.h"
#include "slipway/v1/image.grpc.pb.h"

namespace slipway::cli {
namespace {

Command DeclareAdd() {
  return {
      .name = "slipway image add",
      .summary = "give an image a name in the cluster's catalogue",
      .examples = {{"slipway image add mpi.sif", "as mpi"},
                   {"slipway image add mpi.sif physics/mpi:4.1", "project, name and tag"},
                   {"slipway image add --as-is vendor.sif",
                    "signed by a key of the site: in at the speed of sha256"},
                   {"slipway image add --visibility private ./rootfs base", "a directory is packed first"}},
      .options = {{.name = "again",
                   .help = "import it once more: new keys of the site count, damage is mended"},
                  {.name = "as-is",
                   .help =
                       "keep its squashfs as it is, not packed anew; a key of the site must have signed it"},
                  VisibilityOption(),
                  JsonOption(),
                  ContextOption()},
      .positionals = {{.name = "FILE|DIR", .arity = Positional::kOne, .complete = "file"},
                      {.name = "NAME", .arity = Positional::kOptional, .help = "default: the file's name"}}};
}

std::string NameFor(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = path.substr(path.rfind('/') + 1);
  return name.substr(0, name.rfind('.') == 0 ? std::string::npos : name.rfind('.'));
}

Result<int> AddFile(const Parsed& options, const std::string& path, const std::string& name) {
  Cluster cluster = TRY(Cluster::Of(options));
  ImportHow how = options.Has("as-is")   ? ImportHow::kAsIs
                  : options.Has("again") ? ImportHow::kAgain
                                         : ImportHow::kOnce;
  auto uploaded = TRY(UploadImage(cluster, path, how));
  v1::AddImageRequest request;
  request.set_name(name);
  request.set_digest(uploaded.digest());
  request.set_visibility(options.Value("visibility"));
  v1::Image image = TRY(cluster.Call<v1::Images>(&v1::Images::Stub::Add, request));
  Print(options.Has("json") ? ImageJson(image) : Cat(image.name(), "  ", image.digest(), "\n"));
  return 0;
}

Result<int> Add(const Parsed& options) {
  const auto& words = options.positionals();
  return AddFile(options, words[0], words.size() > 1 ? words[1] : NameFor(words[0]));
}

Command DeclarePull() {
  return {.name = "slipway image pull",
          .summary = "bring an image from a registry into the cluster's catalogue",
          .examples = {{"slipway image pull docker://debian:12", "as debian:12"},
                       {"slipway image pull oras://reg.example.org/phys/mpi:4.1 physics/mpi:4.1",
                        "project, name and tag"}},
          .options = {VisibilityOption(), JsonOption(), ContextOption()},
          .positionals = {{.name = "ADDRESS",
                           .arity = Positional::kOne,
                           .help = "docker://, oras://, oci:, oci-archive:, docker-archive:"},
                          {.name = "NAME",
                           .arity = Positional::kOptional,
                           .help = "default: the address's last part"}},
          .notes =
              "It is brought here by your own account, with your own passwords, and then handed to the "
              "cluster.\n"};
}

// "docker://reg.example.org/a/debian:12" → "debian:12"; "oci-archive:dir/x.tar" → "x".
std::string NameOfAddress(const std::string& address) {
  std::size_t scheme = address.find("://");
  if (scheme == std::string::npos) return NameFor(address.substr(address.find(':') + 1));
  std::string last = address.substr(address.rfind('/') + 1);
  return last.substr(0, last.find('@'));
}

Result<int> Pull(const Parsed& options) {
  const auto& words = options.positionals();
  if (!IsImageAddress(words[0]))
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           Cat(words[0], ": not an address; a file comes by `slipway image add`")});
  std::string file = TRY(FetchImage(words[0]));
  return AddFile(options, file, words.size() > 1 ? words[1] : NameOfAddress(words[0]));
}

Command DeclareLs() {
  return {.name = "slipway image ls",
          .summary = "list the catalogue",
          .examples = {{"slipway image ls", "names, digests, sizes, use"},
                       {"slipway image ls physics/", "those that begin so"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {
              {.name = "PREFIX", .arity = Positional::kOptional, .help = "only names that begin so"}}};
}

Result<int> Ls(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply = TRY(cluster.Call<v1::Images>(&v1::Images::Stub::List, v1::ListImagesRequest()));
  std::string prefix = options.positionals().empty() ? "" : options.positionals()[0];
  v1::ListImagesReply kept;
  for (v1::Image& image : *reply.mutable_images())
    if (image.name().starts_with(prefix)) *kept.add_images() = std::move(image);
  if (options.Has("json")) {
    Print(ImagesJson(kept));
    return 0;
  }
  Table table(
      {{"NAME"}, {"DIGEST"}, {"SIZE", true}, {"OWNER"}, {"SEEN BY"}, {"SIGNED"}, {"JOBS", true}, {"ADDED"}});
  for (const v1::Image& image : kept.images())
    table.Add({image.name(), image.digest().substr(0, 19), FormatBytes(image.bytes()), image.owner(),
               image.visibility(), image.signers().empty() ? "no" : "yes", Cat(image.jobs()),
               FormatMoment(image.added_ms())});
  Print(table.Text(WantsColour(1)));
  return 0;
}

Command DeclareRm() {
  return {.name = "slipway image rm",
          .summary = "take names out of the catalogue, and the bytes that nobody needs then",
          .examples = {{"slipway image rm mpi", "jobs that were submitted with it keep it"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {{.name = "NAME", .arity = Positional::kOne, .complete = "image"},
                          {.name = "MORE", .arity = Positional::kMany, .complete = "image"}}};
}

Result<int> Rm(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  for (const std::string& name : options.positionals()) {
    v1::RemoveImageRequest request;
    request.set_name(name);
    TRY(cluster.Call<v1::Images>(&v1::Images::Stub::Remove, request));
  }
  if (options.Has("json")) Print(NamesJson("removed", options.positionals()));
  return 0;
}

}  // namespace

const Subcommand kImageAdd{{"image", "add"}, DeclareAdd, Add},
    kImagePull{{"image", "pull"}, DeclarePull, Pull}, kImageLs{{"image", "ls"}, DeclareLs, Ls},
    kImageRm{{"image", "rm"}, DeclareRm, Rm};

}  // namespace slipway::cli
