// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/apps.h"

#include "imagestore/build/metadata.h"

namespace slipway::build {

std::string AppFolder(const App& app) { return "/scif/apps/" + app.name; }

Result<> WriteApp(const RootDir& root, const App& app) {
  std::string folder = AppFolder(app), meta = folder + "/scif";
  for (const char* part : {"/scif/env", "/bin", "/lib"}) TRY(root.MakeDirectories(folder + part));
  TRY(root.MakeDirectories("/scif/data/" + app.name + "/input"));
  TRY(root.MakeDirectories("/scif/data/" + app.name + "/output"));
  auto script = [&](const char* name, const Section& section) -> Result<> {
    if (!section) return {};
    return root.WriteFile(Cat(meta, "/", name), Cat("#!/bin/sh\n\n", section.text), 0755);
  };
  TRY(script("runscript", app.run));
  TRY(script("startscript", app.start));
  TRY(script("test", app.test));
  TRY(script("env/90-environment.sh", app.environment));
  TRY(root.WriteFile(meta + "/env/01-base.sh", "#!/bin/sh\n", 0755));
  if (app.help) TRY(root.WriteFile(meta + "/runscript.help", app.help.text, 0644));
  Labels labels(app.labels.begin(), app.labels.end());
  return root.WriteFile(meta + "/labels.json", LabelsJson(labels), 0644);
}

std::string AppInstallScript(const App& app) {
  std::string folder = AppFolder(app);
  return Cat("export SCIF_APPNAME=", app.name, " SCIF_APPROOT=", folder, " SCIF_APPMETA=", folder,
             "/scif SCIF_APPBIN=", folder, "/bin SCIF_APPLIB=", folder, "/lib SCIF_APPDATA=/scif/data/",
             app.name, "\ncd ", folder, "\n", app.install.text);
}

}  // namespace slipway::build
