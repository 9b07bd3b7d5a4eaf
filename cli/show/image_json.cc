// SPDX-License-Identifier: Apache-2.0
#include "cli/show/image_json.h"

#include "cli/show/json_lists.h"

namespace slipway::cli {
namespace {

Json OfImage(const v1::Image& i) {
  return {{"name", i.name()},
          {"digest", i.digest()},
          {"source_digest", i.source_digest()},
          {"bytes", i.bytes()},
          {"owner", i.owner()},
          {"visibility", i.visibility()},
          {"arch", i.arch()},
          {"added_ms", i.added_ms()},
          {"last_used_ms", i.last_used_ms()},
          {"jobs", i.jobs()},
          {"labels", List(i.labels())},
          {"signers", ListOf(i.signers(), [](const v1::ImageSigner& s) {
             return Json{{"key", s.key()}, {"name", s.name()}};
           })}};
}

Json OfProject(const v1::Project& p) {
  return {{"name", p.name()},
          {"owners", List(p.owners())},
          {"members", List(p.members())},
          {"by", p.by()},
          {"created_ms", p.created_ms()}};
}

Json OfMpi(const v1::ImageMpi& m) {
  return {{"family", m.family()}, {"version", m.version()},
          {"path", m.path()},     {"pmix_version", m.pmix_version()},
          {"can", m.can()},       {"how", m.how()},
          {"says", m.says()},     {"cure", m.cure()}};
}

Json OfRule(const v1::PolicyRule& r) {
  return {{"id", r.id()},
          {"allow", r.allow()},
          {"pattern", r.pattern()},
          {"users", List(r.users())},
          {"groups", List(r.groups())},
          {"keys", List(r.keys())},
          {"by", r.by()},
          {"created_ms", r.created_ms()}};
}

// What is inside an image is somebody else's text and may be no UTF-8; such bytes are replaced.
std::string Dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string ImageJson(const v1::Image& image) { return Dump(OfImage(image)); }

std::string ImagesJson(const v1::ListImagesReply& reply) {
  return Dump({{"images", ListOf(reply.images(), OfImage)}});
}

std::string DetailsJson(const v1::ImageDetails& d) {
  Json json = OfImage(d.image());
  json["names"] = List(d.names());
  json["holders"] = List(d.holders());
  json["damaged"] = d.damaged();
  json["may_run"] = d.allowed().empty();
  json["why_not"] = d.allowed();
  json["inspected"] = d.inspected();
  json["system"] = d.system();
  json["libc"] = d.libc();
  json["pmix"] = d.pmix();
  json["cuda"] = d.cuda();
  json["mpi"] = ListOf(d.mpi(), OfMpi);
  json["packages"] = ListOf(d.packages(), [](const v1::ImagePackage& p) {
    return Json{{"kind", p.kind()}, {"name", p.name()}, {"version", p.version()}, {"arch", p.arch()}};
  });
  json["notes"] = List(d.notes());
  return Dump(json);
}

std::string HistoryJson(const v1::ImageHistory& history) {
  return Dump(
      {{"name", history.name()}, {"history", ListOf(history.meanings(), [](const v1::ImageMeaning& m) {
                                    return Json{{"digest", m.digest()},
                                                {"since_ms", m.since_ms()},
                                                {"by", m.by()},
                                                {"bytes", m.bytes()},
                                                {"stored", m.stored()}};
                                  })}});
}

std::string UsageJson(const v1::UsageReply& usage) {
  return Dump({{"bytes", usage.stored_bytes()},
               {"images", usage.stored_images()},
               {"subjects", ListOf(usage.subjects(), [](const v1::SubjectUsage& s) {
                  return Json{{"subject", s.subject()},
                              {"bytes", s.bytes()},
                              {"images", s.images()},
                              {"limit_bytes", s.limit_bytes()}};
                })}});
}

std::string CollectedJson(const v1::CollectReply& reply, bool run) {
  return Dump({{"removed", run}, {"images", ListOf(reply.images(), [](const v1::CollectedImage& i) {
                                    return Json{{"digest", i.digest()},
                                                {"bytes", i.bytes()},
                                                {"last_needed_ms", i.last_needed_ms()},
                                                {"why", i.why()}};
                                  })}});
}

std::string RuleJson(const v1::PolicyRule& rule) { return Dump(OfRule(rule)); }
std::string RulesJson(const v1::ListRulesReply& reply) {
  return Dump({{"rules", ListOf(reply.rules(), OfRule)}});
}

std::string ProjectJson(const v1::Project& project) { return Dump(OfProject(project)); }
std::string ProjectsJson(const v1::ListProjectsReply& reply) {
  return Dump({{"projects", ListOf(reply.projects(), OfProject)}});
}

std::string FindingsJson(const std::vector<v1::VerifyFinding>& findings) {
  bool whole = true;
  for (const v1::VerifyFinding& one : findings) whole = whole && one.well();
  return Dump({{"whole", whole}, {"images", ListOf(findings, [](const v1::VerifyFinding& f) {
                                    return Json{{"digest", f.digest()}, {"names", List(f.names())},
                                                {"state", f.state()},   {"well", f.well()},
                                                {"bytes", f.bytes()},   {"what", f.what()},
                                                {"cure", f.cure()}};
                                  })}});
}

std::string NamesJson(const char* what, const std::vector<std::string>& names) {
  return Dump({{what, List(names)}});
}

}  // namespace slipway::cli
