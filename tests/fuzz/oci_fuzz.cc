// SPDX-License-Identifier: Apache-2.0
// What a registry, an archive or a password file says: manifests, configurations, headers, addresses.
#include <cstdint>

#include "imagestore/oci/credentials.h"
#include "imagestore/oci/manifest.h"
#include "imagestore/oci/reference.h"
#include "imagestore/oci/scripts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto manifest = oci::ParseManifest(text); manifest && manifest->is_index) {
    (void)oci::SelectPlatform(*manifest, "amd64");
    (void)oci::SelectPlatform(*manifest, "arm/v7");
  }
  if (auto config = oci::ParseImageConfig(text)) {
    CHECK(!oci::Runscript(*config).empty() && !oci::EnvironmentScript(*config).empty());
    (void)oci::ContainerFiles(*config, oci::LabelsOf(*config, "docker://x", 0), "");
  }
  (void)oci::ParseSavedImages(text);
  (void)oci::ParseChallenge(text);
  (void)oci::ParseHelperAnswer(text);
  std::string helper;
  (void)oci::CredentialsIn(text, "docker.io", helper);
  CHECK(helper.find('/') == std::string::npos);
  if (auto reference = oci::ParseReference(text)) CHECK(!oci::DefaultFileName(*reference).empty());
  return 0;
}
