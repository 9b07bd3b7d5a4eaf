// SPDX-License-Identifier: Apache-2.0
#include "cli/front/image_scripts.h"

namespace slipway::cli {
namespace {

constexpr const char* kRun =
    "for s in /.singularity.d/runscript /singularity; do [ -x \"$s\" ] && exec \"$s\" \"$@\"; done; "
    "echo 'slipway: the image has no runscript; use slipway exec IMAGE COMMAND' >&2; exit 127";
constexpr const char* kRunApp =
    "[ -x \"/scif/apps/$SCIF_APPNAME/scif/runscript\" ] && exec \"/scif/apps/$SCIF_APPNAME/scif/runscript\" "
    "\"$@\"; "
    "echo \"slipway: the app $SCIF_APPNAME has no runscript; use slipway exec --app $SCIF_APPNAME IMAGE "
    "COMMAND\" >&2; "
    "exit 127";
// An image that promises nothing keeps its promises; an app that was named for its test has one.
constexpr const char* kTest =
    "[ -x /.singularity.d/test ] && exec /.singularity.d/test \"$@\"; "
    "echo 'slipway: the image has no tests' >&2";
constexpr const char* kTestApp =
    "[ -x \"/scif/apps/$SCIF_APPNAME/scif/test\" ] && exec \"/scif/apps/$SCIF_APPNAME/scif/test\" \"$@\"; "
    "echo \"slipway: the app $SCIF_APPNAME has no tests\" >&2; exit 1";
constexpr const char* kHelp =
    "[ -r /.singularity.d/runscript.help ] && exec cat /.singularity.d/runscript.help; "
    "echo 'slipway: the image has no help; slipway inspect shows what is known of it' >&2";
constexpr const char* kHelpApp =
    "[ -r \"/scif/apps/$SCIF_APPNAME/scif/runscript.help\" ] && exec cat "
    "\"/scif/apps/$SCIF_APPNAME/scif/runscript.help\"; "
    "echo \"slipway: the app $SCIF_APPNAME has no help\" >&2";
constexpr const char* kShell = "[ -x /bin/bash ] && exec /bin/bash --norc \"$@\"; exec /bin/sh \"$@\"";

}  // namespace

std::vector<std::string> ImageScriptArgv(const std::string& name, bool app) {
  const char* script = kShell;
  if (name == "run") script = app ? kRunApp : kRun;
  if (name == "test") script = app ? kTestApp : kTest;
  if (name == "run-help") script = app ? kHelpApp : kHelp;
  return {"/bin/sh", "-c", script, "slipway"};
}

}  // namespace slipway::cli
