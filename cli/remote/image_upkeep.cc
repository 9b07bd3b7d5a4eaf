// SPDX-License-Identifier: Apache-2.0
// slipway image gc | verify | du: what images take up, what nobody needs, and whether all are whole.
#include <chrono>

#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/host_images.h"
#include "cli/remote/subcommand.h"
#include "cli/show/image_json.h"
#include "cli/show/progress.h"
#include "cli/show/table.h"
#include "launcher/client/store_image.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::cli {
namespace {

Command DeclareGc() {
  return {
      .name = "slipway image gc",
      .summary = "find images that nobody needs; take them away only with --run",
      .examples = {{"slipway image gc", "what would go"},
                   {"slipway image gc --run", "what was not used for a week"},
                   {"slipway image gc --run --unused 30d --history", "what names meant before, too"},
                   {"slipway image gc --host --unused 30d --max 100G --run",
                    "root: what users of this host imported for `exec`"}},
      .options = {{.name = "run", .help = "take them away"},
                  {.name = "unused",
                   .type = Option::kString,
                   .value_name = "TIME",
                   .help = "only what was neither stored nor used for so long (7d)"},
                  {.name = "history", .help = "what names meant before, too; it cannot be run again then"},
                  {.name = "host", .help = "of this host's own store, not of the cluster; needs root"},
                  {.name = "max",
                   .type = Option::kString,
                   .value_name = "SIZE",
                   .help = "with --host: leave at most so much; those used longest ago go first"},
                  JsonOption(),
                  ContextOption()},
      .notes =
          "What a queued or running job needs stays in any case. Without administrator's rights only what "
          "you\n"
          "alone brought is found. With --host, what root gave a name and what was used within the last ten "
          "minutes\n"
          "stays; running containers keep what they have.\n"};
}

int ShowCollected(const Parsed& options, const v1::CollectReply& reply) {
  if (options.Has("json")) {
    Print(CollectedJson(reply, options.Has("run")));
    return 0;
  }
  Table table({{"DIGEST"}, {"SIZE", true}, {"LAST NEEDED"}, {"WHY"}});
  std::uint64_t bytes = 0;
  for (const v1::CollectedImage& one : reply.images()) {
    bytes += one.bytes();
    table.Add({one.digest(), FormatBytes(one.bytes()), FormatMoment(one.last_needed_ms()), one.why()});
  }
  Print(Cat(table.empty() ? "" : table.Text(WantsColour(1)), reply.images_size(), " images, ",
            FormatBytes(bytes),
            options.Has("run") ? ", taken away\n" : "; nothing was done (--run does it)\n"));
  return 0;
}

Result<int> GcOfHost(const Parsed& options, std::chrono::seconds unused) {
  BrokerConf conf = ReadStarterConf();
  HostImages store(conf);
  HostGarbageRule rule{.now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count(),
                       .unused_ms = unused.count() * 1000,
                       .named = TRY(store.Named())};
  if (options.Has("max")) rule.bytes_max = TRY_CONTEXT(ParseBytes(options.Value("max")), "--max");
  std::vector<StoredImage> garbage = HostGarbage(TRY(store.List()), rule);
  HostImages::Outcome outcome{garbage, {}};
  if (options.Has("run")) outcome = TRY(store.Remove(garbage));
  v1::CollectReply reply;
  for (const StoredImage& one : outcome.gone) {
    v1::CollectedImage* told = reply.add_images();
    told->set_digest(one.digest);
    told->set_bytes(one.bytes);
    told->set_last_needed_ms(one.used_ms);
    told->set_why(rule.now_ms - one.used_ms < rule.unused_ms ? "there are more than --max"
                                                             : "it was not used");
  }
  for (const std::string& why : outcome.kept) PrintError(Error{Code::kFailedPrecondition, 0, why});
  return ShowCollected(options, reply);
}

Result<int> Gc(const Parsed& options) {
  auto unused = ParseTimeLimit(options.Value("unused", "7d"));
  if (!unused) return UsageExit(std::move(unused).error().Context("--unused"));
  if (options.Has("host") ? options.Has("history") : options.Has("max"))
    return UsageExit(Error{Code::kInvalidArgument, 0,
                           "slipway image gc: --max goes with --host, and --history without it"});
  if (options.Has("host")) return GcOfHost(options, *unused);
  Cluster cluster = TRY(Cluster::Of(options));
  v1::CollectRequest request;
  request.set_run(options.Has("run"));
  request.set_unused_s(unused->count());
  request.set_history(options.Has("history"));
  auto reply = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::Collect, request));
  return ShowCollected(options, reply);
}

Command DeclareVerify() {
  return {
      .name = "slipway image verify",
      .summary = "read an image's bytes on the controller and prove that they are what its digest says",
      .examples = {{"slipway image verify physics/mpi:4.1", "one"},
                   {"slipway image verify --all", "every one, and the catalogue itself"}},
      .options = {{.name = "all", .letter = 'a', .help = "everything that is stored"},
                  JsonOption(),
                  ContextOption()},
      .positionals = {{.name = "IMAGE", .arity = Positional::kOptional, .complete = "image"}},
      .notes =
          "Exit code 1 when anything is missing or damaged. Signatures of files are `slipway verify`'s.\n"};
}

std::string Subject(const v1::VerifyFinding& finding) {
  if (finding.digest().empty()) return "the catalogue";
  std::string names;
  for (const std::string& name : finding.names()) names += Cat(names.empty() ? "" : ", ", name);
  return names.empty() ? finding.digest() : Cat(finding.digest(), " (", names, ")");
}

Result<std::vector<v1::VerifyFinding>> Findings(Cluster& cluster, const v1::VerifyRequest& request) {
  auto stub = v1::Catalogue::NewStub(cluster.channel());
  grpc::ClientContext call;
  TRY(cluster.Authorize(call));
  auto reader = stub->Verify(&call, request);
  Progress progress("verifying");
  std::vector<v1::VerifyFinding> findings;
  v1::VerifyFinding finding;
  while (reader->Read(&finding)) {
    findings.push_back(finding);
    progress.Say(Cat(findings.size(), " of ", findings.size() + finding.left(), " images"));
  }
  TRY(cluster.Of(reader->Finish()));
  return findings;
}

Result<int> Verify(const Parsed& options) {
  if (options.Has("all") != options.positionals().empty())
    return UsageExit(Error{Code::kInvalidArgument, 0, "slipway image verify: say an image, or --all"});
  Cluster cluster = TRY(Cluster::Of(options));
  v1::VerifyRequest request;
  request.set_all(options.Has("all"));
  if (!request.all()) request.set_reference(options.positionals()[0]);
  auto findings = TRY(Findings(cluster, request));
  std::uint64_t bytes = 0;
  std::size_t wrong = 0;
  std::string text;
  for (const v1::VerifyFinding& one : findings) {
    bytes += one.bytes();
    wrong += one.well() ? 0 : 1;
    if (!one.well())
      text += Cat(Printable(Cat(one.state(), ": ", Subject(one), ": ", one.what(), "; ", one.cure())), "\n");
  }
  std::size_t images = findings.empty() ? 0 : findings.size() - 1;
  text += Cat(images, images == 1 ? " image, " : " images, ", FormatBytes(bytes),
              " read: ", wrong == 0 ? "all is whole" : Cat(wrong, " not as it should be"), "\n");
  Print(options.Has("json") ? FindingsJson(findings) : text);
  return wrong == 0 ? 0 : kRefused;
}

Command DeclareDu() {
  return {
      .name = "slipway image du",
      .summary = "show what images take up, by user and by project, and how much they may",
      .examples = {{"slipway image du", "mine, and the projects"},
                   {"slipway image du --limit user:alice=200G --limit project:physics=1T", "administrators"},
                   {"slipway image du --limit user:alice=0", "the cluster's own limit again"}},
      .options = {{.name = "limit",
                   .type = Option::kList,
                   .value_name = "WHO=BYTES",
                   .help = "how much user:NAME or project:NAME may take up; 0: what the settings say"},
                  JsonOption(),
                  ContextOption()}};
}

Result<v1::SetLimitRequest> LimitOf(const std::string& text) {
  std::size_t equals = text.rfind('=');
  if (equals == std::string::npos)
    return Fail(Code::kInvalidArgument, "--limit ", text, ": it looks like user:NAME=200G");
  v1::SetLimitRequest request;
  request.set_subject(text.substr(0, equals));
  request.set_bytes(TRY_CONTEXT(ParseBytes(text.substr(equals + 1)), Cat("--limit ", text)));
  return request;
}

Result<int> Du(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  for (const std::string& text : options.List("limit")) {
    auto request = LimitOf(text);
    if (!request) return UsageExit(request.error());
    TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::SetLimit, *request));
  }
  auto usage = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::Usage, v1::UsageRequest()));
  if (options.Has("json")) {
    Print(UsageJson(usage));
    return 0;
  }
  Table table({{"WHO"}, {"IMAGES", true}, {"SIZE", true}, {"LIMIT", true}});
  for (const v1::SubjectUsage& one : usage.subjects())
    table.Add({one.subject(), Cat(one.images()), FormatBytes(one.bytes()),
               one.limit_bytes() == 0 ? "-" : FormatBytes(one.limit_bytes())});
  table.Add({"all that is stored", Cat(usage.stored_images()), FormatBytes(usage.stored_bytes()), "-"});
  Print(table.Text(WantsColour(1)));
  return 0;
}

}  // namespace

const Subcommand kImageGc{{"image", "gc"}, DeclareGc, Gc},
    kImageVerify{{"image", "verify"}, DeclareVerify, Verify}, kImageDu{{"image", "du"}, DeclareDu, Du};

}  // namespace slipway::cli
