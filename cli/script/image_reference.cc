// SPDX-License-Identifier: Apache-2.0
#include "cli/script/image_reference.h"

namespace slipway::cli {

ImageKind KindOfImage(std::string_view text, const std::function<PathKind(const std::string&)>& look) {
  if (text.starts_with("sha256:")) return ImageKind::kName;
  switch (look(std::string(text))) {
    case PathKind::kFile:
      return ImageKind::kFile;
    case PathKind::kDirectory:
      return ImageKind::kDirectory;
    case PathKind::kNone:
      break;
  }
  for (std::string_view start : {"/", "./", "../", "~/"}) {
    if (text.starts_with(start)) return ImageKind::kMissingPath;
  }
  // Nobody names a catalogue image like a file; whoever writes this means one that is not here.
  return text.ends_with(".sif") || text.ends_with(".sqfs") ? ImageKind::kMissingPath : ImageKind::kName;
}

}  // namespace slipway::cli
