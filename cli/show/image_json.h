// SPDX-License-Identifier: Apache-2.0
// Images as programs read them; the rules of json.h.
#pragma once

#include <string>
#include <vector>

#include "slipway/v1/catalogue.pb.h"
#include "slipway/v1/image.pb.h"

namespace slipway::cli {

std::string ImageJson(const v1::Image& image);
std::string ImagesJson(const v1::ListImagesReply& reply);  // {"images": […]}
std::string DetailsJson(const v1::ImageDetails& details);  // the image's keys, and more
std::string HistoryJson(const v1::ImageHistory& history);
std::string UsageJson(const v1::UsageReply& usage);
std::string CollectedJson(const v1::CollectReply& reply, bool run);
std::string RuleJson(const v1::PolicyRule& rule);
std::string RulesJson(const v1::ListRulesReply& reply);  // {"rules": […]}
std::string ProjectJson(const v1::Project& project);
std::string ProjectsJson(const v1::ListProjectsReply& reply);  // {"projects": […]}
std::string FindingsJson(const std::vector<v1::VerifyFinding>& findings);
std::string NamesJson(const char* what, const std::vector<std::string>& names);  // {"WHAT": […]}

}  // namespace slipway::cli
