// SPDX-License-Identifier: Apache-2.0
// An image's packages as the two documents that scanners and auditors read: SPDX 2.3 and CycloneDX 1.5, as
// JSON. Pure: equal input gives equal bytes.
#pragma once

#include <cstdint>
#include <string>

#include "imagestore/content/content.h"

namespace slipway::content {

struct SbomSubject {
  std::string name;            // of the image, for people
  std::string digest;          // "sha256:…"
  std::int64_t created_s = 0;  // seconds since 1970: the document's time
};
std::string SpdxJson(const Content& content, const SbomSubject& subject);
std::string CycloneDxJson(const Content& content, const SbomSubject& subject);

// "pkg:deb/debian/libc6@2.36-9?arch=amd64"; `system` tells dpkg's and rpm's distribution.
std::string PackageUrl(const Package& package, const std::string& system);

}  // namespace slipway::content
