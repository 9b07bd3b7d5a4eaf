// SPDX-License-Identifier: Apache-2.0
#include "cli/command/not_had.h"

#include <string_view>

#include "base/result/result.h"

namespace slipway::cli {
namespace {

struct NotHad {
  std::string_view first, second;  // second empty: whatever follows
  const char* why;
};

constexpr char kLibrary[] =
    "no library:// service is asked; images have addresses: docker://, oras://, https://";
constexpr NotHad kNotHad[] = {
    {"capability", "",
     "who may have which capabilities the administrator says in starter.conf; see `slipway config show`"},
    {"checkpoint", "", "start dmtcp_launch as the command; it is told when the job's time ends by --signal"},
    {"config", "fakeroot", "who has subordinate ids is in /etc/subuid; see usermod --add-subuids"},
    {"config", "global", "settings are in starter.conf; see `slipway config show`"},
    {"delete", "", kLibrary},
    {"keyserver", "", "no key server is asked; `slipway key import FILE` trusts a key"},
    {"oci", "", "`slipway exec oci:DIR` and docker:// run such images"},
    {"plugin", "", "sites extend containers by OCI hooks and CDI files, named in starter.conf"},
    {"remote", "", "for registries there is `slipway registry login`; clusters are named by --context"},
    {"search", "", kLibrary},
    {"key", "search", "no key server is asked; `slipway key import FILE` trusts a key"},
    {"key", "pull", "no key server is asked; `slipway key import FILE` trusts a key"},
    {"key", "push", "no key server is asked; `slipway key export` writes a file to give away"},
};

}  // namespace

std::optional<std::string> WhyNotHad(const std::vector<std::string>& words) {
  for (const NotHad& one : kNotHad) {
    bool fits = words[0] == one.first && (one.second.empty() || (words.size() > 1 && words[1] == one.second));
    if (fits)
      return Cat("slipway ", words[0], one.second.empty() ? "" : " ", one.second, " is not had: ", one.why);
  }
  return std::nullopt;
}

}  // namespace slipway::cli
