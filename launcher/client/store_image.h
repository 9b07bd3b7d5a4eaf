// SPDX-License-Identifier: Apache-2.0
// An image of the node's root-owned store is named by its digest, or by a name that root gave it: lines of
// "NAME DIGEST" in a file that everybody may read (state_dir/names).
#pragma once

#include <string>
#include <vector>

#include "launcher/client/image_file.h"
#include "launcher/spec/starter_conf.h"

namespace slipway {

// /etc/slipway/starter.conf as far as we may read it: only for where things are. What it allows is judged by
// the privileged halves, which read it themselves.
BrokerConf ReadStarterConf();

// The digest that `text` is or names; kNotFound when it is neither. Only a file of root's is believed:
// whoever could write it would choose what others run.
Result<std::string> DigestInStore(const BrokerConf& conf, const std::string& text);
// Pure: of the names file's content. A line that is not "NAME DIGEST" is an error with its number.
Result<std::string> DigestOfName(std::string_view names, std::string_view name);
Result<std::vector<std::string>> NamedDigests(std::string_view names);  // all that have one

// To be mounted by a privileged half; `name` as the user gave it.
ImageFile StoreImage(const std::string& name);

}  // namespace slipway
