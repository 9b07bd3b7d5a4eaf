// SPDX-License-Identifier: Apache-2.0
// slipway image project: whose a project is, and who else makes names in it.
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/image_json.h"
#include "cli/show/table.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::cli {
namespace {

Command DeclareProject() {
  return {
      .name = "slipway image project",
      .summary = "say whose a project is: who makes, moves and takes away names in it",
      .examples = {{"slipway image project", "those that were given to somebody"},
                   {"slipway image project physics --owner user:ann --member group:phys", "give it away"},
                   {"slipway image project physics --member user:bob", "one more"},
                   {"slipway image project physics --leave user:bob", "and out again"},
                   {"slipway image project physics --open", "nobody's; its names stay"}},
      .options =
          {{.name = "owner",
            .type = Option::kList,
            .value_name = "WHO",
            .help = "user:NAME or group:NAME: does everything with its names, and says who is in it"},
           {.name = "member",
            .type = Option::kList,
            .value_name = "WHO",
            .help = "makes names and moves those there are; takes away his own"},
           {.name = "leave", .type = Option::kList, .value_name = "WHO", .help = "is neither any more"},
           {.name = "open", .help = "take it from everybody; it is as if it had never been given"},
           JsonOption(),
           ContextOption()},
      .positionals = {{.name = "PROJECT", .arity = Positional::kOptional}},
      .notes =
          "Administrators give projects away; owners say who else works in theirs. Who is in a project sees "
          "all of its\nnames. Outside of it nobody changes them, not even those he made when he was in "
          "it.\n"};
}

std::string Words(const auto& list) {
  return list.empty() ? "-" : Join(std::vector<std::string>(list.begin(), list.end()), ", ");
}

Result<int> List(Cluster& cluster, const Parsed& options) {
  auto reply =
      TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::ListProjects, v1::ListProjectsRequest()));
  if (!options.positionals().empty()) {
    v1::ListProjectsReply one;
    for (v1::Project& project : *reply.mutable_projects())
      if (project.name() == options.positionals()[0]) *one.add_projects() = std::move(project);
    if (one.projects().empty())
      return Fail(Code::kNotFound, "the project ", options.positionals()[0], " was given to nobody");
    reply = std::move(one);
  }
  if (options.Has("json")) {
    Print(ProjectsJson(reply));
    return 0;
  }
  Table table({{"PROJECT"}, {"OWNERS"}, {"MEMBERS"}, {"BY"}, {"SINCE"}});
  for (const v1::Project& one : reply.projects())
    table.Add(
        {one.name(), Words(one.owners()), Words(one.members()), one.by(), FormatMoment(one.created_ms())});
  Print(table.Text(WantsColour(1)));
  return 0;
}

Result<int> Open(Cluster& cluster, const std::string& name, bool json) {
  v1::OpenProjectRequest request;
  request.set_name(name);
  TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::OpenProject, request));
  if (json) Print(NamesJson("opened", {name}));
  return 0;
}

Result<int> Project(const Parsed& options) {
  bool change = options.Has("owner") || options.Has("member") || options.Has("leave");
  bool open = options.Has("open");
  if ((change && open) || ((change || open) && options.positionals().empty()))
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           "slipway image project: name the project, and who is in it or --open"});
  Cluster cluster = TRY(Cluster::Of(options));
  if (open) return Open(cluster, options.positionals()[0], options.Has("json"));
  if (!change) return List(cluster, options);
  v1::ChangeProjectRequest request;
  request.set_name(options.positionals()[0]);
  for (const std::string& who : options.List("owner")) request.add_owners(who);
  for (const std::string& who : options.List("member")) request.add_members(who);
  for (const std::string& who : options.List("leave")) request.add_leave(who);
  auto made = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::ChangeProject, request));
  Print(options.Has("json")
            ? ProjectJson(made)
            : Cat(made.name(), "  owners ", Words(made.owners()), "; members ", Words(made.members()), "\n"));
  return 0;
}

}  // namespace

const Subcommand kImageProject{{"image", "project"}, DeclareProject, Project};

}  // namespace slipway::cli
