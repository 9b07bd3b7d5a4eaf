// SPDX-License-Identifier: Apache-2.0
// How an image carries its environment, runscript and labels: /.singularity.d, laid out as Apptainer does, so
// that both run what either built.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result/result.h"
#include "imagestore/build/deffile.h"
#include "imagestore/build/root_dir.h"

namespace slipway::build {

// The recipe's labels over those of the image it builds on, and when and for what it was built.
Labels LabelsOf(const Recipe& recipe, const Labels& base, std::string_view arch, std::int64_t now);
std::string LabelsJson(const Labels& labels);
// Values that are no strings are left out; kInvalidArgument when it is no JSON object.
Result<Labels> ParseLabels(std::string_view json);
// The SIF's JSON object "inspect-metadata.json", which `apptainer inspect` reads.
std::string InspectMetadataJson(const Labels& labels, std::string_view deffile);

// Before %post: directories, mount points, environment, labels. Runscript, help and recipe, too.
Result<> WriteMetadata(const RootDir& root, const Recipe& recipe, const Labels& labels);
// The part of it that only says what the image is, and that no section needs: scripts, labels, help, recipe.
// Over what is there.
Result<> WriteDescription(const RootDir& root, const Recipe& recipe, const Labels& labels);
// Whether it is as WriteDescription left it: no section wrote to it.
bool DescriptionIsAsWritten(const RootDir& root, const Recipe& recipe, const Labels& labels);
// Directories and files that a container's mounts need; what is there stays.
Result<> MakeMountPoints(const RootDir& root);

}  // namespace slipway::build
