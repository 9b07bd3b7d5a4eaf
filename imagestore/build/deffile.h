// SPDX-License-Identifier: Apache-2.0
// A definition file says how an image is made: a header ("Bootstrap: debootstrap") and sections (%post …), in
// Apptainer's syntax. What this version cannot do is refused with the line it stands on, never skipped: an
// image that lacks half of its recipe is worse than none.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"

namespace slipway::build {

struct Section {
  int line = 0;  // of its %name in the file, from 1; 0: the section is not there
  std::string text;
  std::string shell;  // "%post -c /bin/bash": that shell; empty: /bin/sh
  explicit operator bool() const { return line != 0; }
};

struct FileCopy {
  int line = 0;
  std::string source, destination;  // destination is empty when the file has one word: the same path
  std::string stage;                // "%files from build": that stage's tree; empty: the host
};

using Labels = std::map<std::string, std::string>;

// One of several programs in an image, with scripts of its own (SCIF): %apprun NAME and its kin.
struct App {
  std::string name;
  Section install, run, start, environment, test, help;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<FileCopy> files;
};

struct Recipe {
  std::string name;       // of the file, for messages
  std::string text;       // the whole file, as it is kept in the image
  std::string bootstrap;  // "debootstrap", "localimage", "docker", "scratch", …
  int bootstrap_line = 0;
  std::string mirror_url;            // debootstrap; empty: the host's
  std::string os_version;            // debootstrap: the suite
  std::vector<std::string> include;  // debootstrap: packages
  std::string from;  // localimage: a SIF or a squashfs; others: what their address goes on with
  std::string registry, name_space;  // docker, oras: before `from`
  std::string base;                  // the local image that all that comes to; set by who brings it
  std::string base_digest;           // its bytes'; set with it where somebody wants to know
  std::string stage;                 // its name, for "%files from"; empty: the last one needs none
  std::vector<Recipe> earlier;       // stages that this one may copy from, in order
  Section pre, setup;                // on the host
  Section environment, runscript, startscript, post, test, help;
  std::vector<App> apps;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<FileCopy> files;

  bool HasBase() const;         // it builds on an image, here or elsewhere
  bool IsFetched() const;       // elsewhere
  std::string Address() const;  // then: "docker://host/name:tag"
};

using Arguments = std::map<std::string, std::string>;
// "{{ NAME }}" in the whole text becomes what `given` says, else what its %arguments say. kInvalidArgument
// for a name that neither knows, and for one in `given` that the text has no place for.
Result<std::string> FillIn(std::string_view text, std::string_view name, const Arguments& given);

// kInvalidArgument or kUnimplemented, "recipe.def:12: …".
Result<Recipe> ParseRecipe(std::string_view text, std::string_view name);

}  // namespace slipway::build
