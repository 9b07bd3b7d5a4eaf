// SPDX-License-Identifier: Apache-2.0
// An OCI image says in a JSON text what it runs and with what environment; a container of ours (and
// Apptainer's) looks into /.singularity.d. Here the one becomes the other, with the meaning that Apptainer
// gives it: ENTRYPOINT and CMD make the runscript, arguments replace CMD, ENV are defaults that the caller's
// environment may override (PATH is the image's).
#pragma once

#include <string>
#include <vector>

#include "imagestore/build/metadata.h"
#include "imagestore/oci/manifest.h"
#include "imagestore/squashfs/stream_pack.h"

namespace slipway::oci {

std::string Runscript(const ImageConfig& config);
std::string EnvironmentScript(const ImageConfig& config);
// The config's labels, and where and when the image came from.
build::Labels LabelsOf(const ImageConfig& config, const std::string& source, std::int64_t now);

// Everything that is put over the layers, and what is put where they have nothing (mount points).
std::vector<squashfs::AddedFile> ContainerFiles(const ImageConfig& config, const build::Labels& labels,
                                                const std::string& deffile);
std::vector<squashfs::AddedFile> MountPoints();

}  // namespace slipway::oci
