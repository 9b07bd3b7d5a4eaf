// SPDX-License-Identifier: Apache-2.0
// slipway image add | ls | rm: the cluster's catalogue.
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/image_upload.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
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
                   {"slipway image add ./rootfs base", "a directory is packed first"}},
      .options = {JsonOption(), ContextOption()},
      .positionals = {{.name = "FILE|DIR", .arity = Positional::kOne, .complete = "file"},
                      {.name = "NAME", .arity = Positional::kOptional, .help = "default: the file's name"}}};
}

std::string NameFor(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string name = path.substr(path.rfind('/') + 1);
  return name.substr(0, name.rfind('.') == 0 ? std::string::npos : name.rfind('.'));
}

Result<int> Add(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  const auto& words = options.positionals();
  auto uploaded = TRY(UploadImage(cluster, words[0]));
  v1::AddImageRequest request;
  request.set_name(words.size() > 1 ? words[1] : NameFor(words[0]));
  request.set_digest(uploaded.digest());
  v1::Image image = TRY(cluster.Call<v1::Images>(&v1::Images::Stub::Add, request));
  Print(options.Has("json") ? ImageJson(image) : Cat(image.name(), "  ", image.digest(), "\n"));
  return 0;
}

Command DeclareLs() {
  return {.name = "slipway image ls",
          .summary = "list the catalogue",
          .examples = {{"slipway image ls", "names, digests, sizes"}},
          .options = {JsonOption(), ContextOption()}};
}

Result<int> Ls(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply = TRY(cluster.Call<v1::Images>(&v1::Images::Stub::List, v1::ListImagesRequest()));
  if (options.Has("json")) {
    Print(ImagesJson(reply));
    return 0;
  }
  Table table({{"NAME"}, {"DIGEST"}, {"SIZE", true}, {"OWNER"}, {"ADDED"}});
  for (const v1::Image& image : reply.images())
    table.Add({image.name(), image.digest().substr(0, 19), FormatBytes(image.bytes()), image.owner(),
               FormatMoment(image.added_ms())});
  Print(table.Text(WantsColour(1)));
  return 0;
}

Command DeclareRm() {
  return {.name = "slipway image rm",
          .summary = "take names out of the catalogue",
          .examples = {{"slipway image rm mpi", "jobs that were submitted with it keep it"}},
          .options = {ContextOption()},
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
  return 0;
}

}  // namespace

const Subcommand kImageAdd{{"image", "add"}, DeclareAdd, Add}, kImageLs{{"image", "ls"}, DeclareLs, Ls},
    kImageRm{{"image", "rm"}, DeclareRm, Rm};

}  // namespace slipway::cli
