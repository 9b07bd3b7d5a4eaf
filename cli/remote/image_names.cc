// SPDX-License-Identifier: Apache-2.0
// slipway image tag | untag | share | history: names, and what they meant when.
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/image_options.h"
#include "cli/remote/subcommand.h"
#include "cli/show/image_json.h"
#include "cli/show/table.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::cli {
namespace {

Command DeclareTag() {
  return {
      .name = "slipway image tag",
      .summary = "give an image one more name, or move a name to another image",
      .examples = {{"slipway image tag physics/mpi:4.1 physics/mpi:stable",
                    "what was submitted before keeps its own"},
                   {"slipway image tag mpi@sha256:… mpi",
                    "back to what it was; see `slipway image history mpi`"}},
      .options = {VisibilityOption(), JsonOption(), ContextOption()},
      .positionals = {
          {.name = "IMAGE",
           .arity = Positional::kOne,
           .help = "a name, name@sha256:… or digest",
           .complete = "image"},
          {.name = "NAME", .arity = Positional::kOne, .help = "[project/]name[:tag]", .complete = "image"}}};
}

Result<int> Tag(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::TagImageRequest request;
  request.set_reference(options.positionals()[0]);
  request.set_name(options.positionals()[1]);
  request.set_visibility(options.Value("visibility"));
  v1::Image image = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::Tag, request));
  Print(options.Has("json") ? ImageJson(image) : Cat(image.name(), "  ", image.digest(), "\n"));
  return 0;
}

Command DeclareUntag() {
  return {.name = "slipway image untag",
          .summary = "take names off images; their bytes stay until `slipway image gc` finds them unused",
          .examples = {{"slipway image untag physics/mpi:stable", "its other names stay"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {{.name = "NAME", .arity = Positional::kOne, .complete = "image"},
                          {.name = "MORE", .arity = Positional::kMany, .complete = "image"}}};
}

Result<int> Untag(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  for (const std::string& name : options.positionals()) {
    v1::ImageQuery request;
    request.set_reference(name);
    TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::Untag, request));
  }
  if (options.Has("json")) Print(NamesJson("untagged", options.positionals()));
  return 0;
}

Command DeclareShare() {
  return {
      .name = "slipway image share",
      .summary = "say who sees a name",
      .examples = {{"slipway image share physics/mpi:4.1 group:phys", "its owner, the group, administrators"},
                   {"slipway image share mpi private", "its owner and administrators"}},
      .options = {JsonOption(), ContextOption()},
      .positionals = {{.name = "NAME", .arity = Positional::kOne, .complete = "image"},
                      {.name = "WHO",
                       .arity = Positional::kOne,
                       .help = "public, group:NAME or private",
                       .complete = "public|group:|private"}}};
}

Result<int> Share(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::ShareImageRequest request;
  request.set_name(options.positionals()[0]);
  request.set_visibility(options.positionals()[1]);
  v1::Image image = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::Share, request));
  Print(options.Has("json") ? ImageJson(image) : Cat(image.name(), "  ", image.visibility(), "\n"));
  return 0;
}

Command DeclareHistory() {
  return {.name = "slipway image history",
          .summary = "show what a name meant when, and who changed it",
          .examples = {{"slipway image history physics/mpi:stable", "latest first"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {{.name = "NAME", .arity = Positional::kOne, .complete = "image"}},
          .notes = "What is stored can be run as NAME@DIGEST.\n"};
}

Result<int> History(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  v1::ImageQuery request;
  request.set_reference(options.positionals()[0]);
  auto history = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::History, request));
  if (options.Has("json")) {
    Print(HistoryJson(history));
    return 0;
  }
  Table table({{"SINCE"}, {"DIGEST"}, {"SIZE", true}, {"BY"}, {"STORED"}});
  for (const v1::ImageMeaning& one : history.meanings())
    table.Add({FormatMoment(one.since_ms()), one.digest(), FormatBytes(one.bytes()), one.by(),
               one.stored() ? "yes" : "no"});
  Print(table.Text(WantsColour(1)));
  return 0;
}

}  // namespace

const Subcommand kImageTag{{"image", "tag"}, DeclareTag, Tag},
    kImageUntag{{"image", "untag"}, DeclareUntag, Untag},
    kImageShare{{"image", "share"}, DeclareShare, Share},
    kImageHistory{{"image", "history"}, DeclareHistory, History};

}  // namespace slipway::cli
