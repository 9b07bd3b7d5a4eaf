// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/bind_options.h"

#include <sys/stat.h>

#include <charconv>
#include <cstdlib>

#include "base/text/text.h"
#include "launcher/client/data_file.h"

namespace slipway {
namespace {

// What one bind says, in either spelling.
struct Wanted {
  std::string given;  // for the words of errors: "--bind 'a:b:c'"
  std::string source, destination;
  std::string image_source, image_id;
  bool read_only = false;
  Mount::Propagation propagation = Mount::kSlave;
};

std::string AbsolutePath(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  std::string absolute = resolved != nullptr ? resolved : path;
  std::free(resolved);
  return absolute;
}

Result<> SetPropagationOf(Wanted& wanted, std::string_view value) {
  if (value == "rslave" || value == "slave") {
    wanted.propagation = Mount::kSlave;
  } else if (value == "rprivate" || value == "private") {
    wanted.propagation = Mount::kPrivate;
  } else if (value == "rshared" || value == "shared") {
    return Fail(
        Code::kInvalidArgument, wanted.given, ": ", value,
        " would carry mounts made inside out to the host, which no container may do; rslave, the default, "
        "shows the host's later mounts inside");
  } else {
    return Fail(Code::kInvalidArgument, wanted.given, ": bind-propagation is rslave or rprivate, not '",
                value, "'");
  }
  return {};
}

// An option of either spelling; false when there is none of that name.
Result<bool> SetOption(Wanted& wanted, std::string_view option) {
  auto equals = option.find('=');
  std::string_view name = option.substr(0, equals);
  std::string_view value = equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (name == "ro" || name == "readonly") {
    wanted.read_only = true;
  } else if (name == "rw") {
    wanted.read_only = false;
  } else if (name == "image-src" || name == "id") {
    if (value.empty()) return Fail(Code::kInvalidArgument, wanted.given, ": ", name, " needs a value");
    (name == "id" ? wanted.image_id : wanted.image_source) = value;
  } else if (name !=
             "nonested") {  // which is about what nested containers bind: nothing is passed on to them
    return false;
  }
  return true;
}

Result<> SetImage(Wanted& wanted, Mount& mount, SpecFiles& files) {
  std::uint64_t id = 0;
  const std::string& text = wanted.image_id;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (!text.empty() && (error != std::errc() || end != text.data() + text.size() || id == 0))
    return Fail(Code::kInvalidArgument, wanted.given, ": id is the number of a partition, not '", text, "'");
  FileSystemFile found = TRY_CONTEXT(OpenDataFile(mount.source, id), wanted.given);
  mount.type = Mount::kImage;
  mount.image = found.sources[0];
  mount.image.fd = files.Add(std::move(found.file));
  mount.options = wanted.image_source.empty() ? "/" : wanted.image_source;
  mount.read_only = true;
  if (mount.options[0] != '/')
    return Fail(Code::kInvalidArgument, wanted.given, ": image-src must be an absolute path in the image");
  return {};
}

Result<Mount> MountOf(Wanted wanted, SpecFiles& files) {
  Mount mount;
  // A path is taken as it is named: /scratch, a symlink, stays /scratch inside. A relative one is resolved.
  mount.source = wanted.source[0] == '/' ? wanted.source : AbsolutePath(wanted.source);
  mount.target = wanted.destination.empty() ? mount.source : wanted.destination;
  struct stat info {};
  if (mount.source[0] != '/' || ::stat(mount.source.c_str(), &info) < 0) return ErrnoFail(wanted.given);
  if (mount.target[0] != '/')
    return Fail(Code::kInvalidArgument, wanted.given,
                ": the place in the container must be an absolute path");
  mount.read_only = wanted.read_only;
  mount.propagation = wanted.propagation;
  if (!wanted.image_source.empty() || !wanted.image_id.empty()) TRY(SetImage(wanted, mount, files));
  return mount;
}

// The parts between separators that no backslash stands before; "\:" and "\," lose theirs only at the end.
std::vector<std::string> SplitEscaped(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      parts.back() += text[i++];
      parts.back() += text[i];
    } else if (text[i] == separator) {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  return parts;
}

std::string Unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ':' || text[i + 1] == ',')) ++i;
    plain += text[i];
  }
  return plain;
}

Result<> SetBindOption(Wanted& wanted, const std::string& option) {
  if (TRY(SetOption(wanted, option))) return {};
  static constexpr std::string_view kPropagations[] = {"rslave",  "slave",   "rprivate",
                                                       "private", "rshared", "shared"};
  for (std::string_view known : kPropagations) {
    if (option == known) return SetPropagationOf(wanted, option);
  }
  return Fail(Code::kInvalidArgument, wanted.given, ": '", option.substr(0, 64),
              "' is not an option of a bind; they are ro, rw, rslave, rprivate, image-src=PATH, id=N");
}

// A comma separates binds, or the options of one: only what follows a bind with options, has no colon and
// begins as an option does, is taken for an option.
bool IsFurtherOption(const std::string& part, bool options_before) {
  if (!options_before || SplitEscaped(part, ':').size() > 1) return false;
  return part == "ro" || part == "rw" || part == "nonested" || part.starts_with("image-src=") ||
         part.starts_with("id=") || part.ends_with("slave") || part.ends_with("private") ||
         part.ends_with("shared");
}

// One record of CSV per line, as RFC 4180 has it: a field may be quoted, "" in it is a quote.
Result<std::vector<std::vector<std::string>>> ReadCsv(std::string_view text) {
  std::vector<std::vector<std::string>> records(1, std::vector<std::string>(1));
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string& field = records.back().back();
    char c = text[i];
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"' && field.empty()) {
      quoted = true;
    } else if (c == ',') {
      records.back().emplace_back();
    } else if (c == '\n') {
      records.emplace_back(1);
    } else if (c != '\r') {
      field += c;
    }
  }
  if (quoted) return Fail(Code::kInvalidArgument, "a quote is not closed");
  std::erase_if(records, [](const auto& record) { return record.size() == 1 && record[0].empty(); });
  return records;
}

Result<> SetMountField(Wanted& wanted, const std::string& field) {
  auto equals = field.find('=');
  std::string name = field.substr(0, equals);
  std::string value = equals == std::string::npos ? std::string() : field.substr(equals + 1);
  if (name == "type") {
    if (value == "bind") return {};
    return Fail(Code::kInvalidArgument, wanted.given, ": type=", value,
                " is not to be had, only bind (an empty file system in memory: --scratch DIR)");
  }
  if (name == "source" || name == "src" || name == "destination" || name == "dst" || name == "target") {
    if (value.empty()) return Fail(Code::kInvalidArgument, wanted.given, ": ", name, " needs a value");
    (name[0] == 's' ? wanted.source : wanted.destination) = value;
    return {};
  }
  if (name == "bind-propagation") return SetPropagationOf(wanted, value);
  if (TRY(SetOption(wanted, field))) return {};
  return Fail(Code::kInvalidArgument, wanted.given, ": unknown field '", name.substr(0, 64),
              "'; they are type, source, destination, ro, bind-propagation, image-src, id");
}

}  // namespace

Result<std::vector<Mount>> ParseBind(const std::string& argument, SpecFiles& files) {
  std::vector<Wanted> binds;
  bool options_before = false;
  for (const std::string& part : SplitEscaped(argument, ',')) {
    if (IsFurtherOption(part, options_before)) {
      TRY(SetBindOption(binds.back(), part));
      continue;
    }
    Wanted wanted{.given = Cat("--bind '", part.substr(0, 128), "'")};
    std::vector<std::string> fields = SplitEscaped(part, ':');
    if (fields.size() > 3 || fields[0].empty())
      return Fail(Code::kInvalidArgument, wanted.given, " is not SRC[:DEST[:ro|rw]]");
    wanted.source = Unescaped(fields[0]);
    if (fields.size() > 1) wanted.destination = Unescaped(fields[1]);
    if (fields.size() > 2) TRY(SetBindOption(wanted, fields[2]));
    options_before = fields.size() > 2;
    binds.push_back(std::move(wanted));
  }
  std::vector<Mount> mounts;
  for (Wanted& wanted : binds) mounts.push_back(TRY(MountOf(std::move(wanted), files)));
  return mounts;
}

Result<std::vector<Mount>> ParseMount(const std::string& argument, SpecFiles& files) {
  std::string given = Cat("--mount '", argument.substr(0, 128), "'");
  std::vector<Mount> mounts;
  for (const auto& record : TRY_CONTEXT(ReadCsv(argument), given)) {
    Wanted wanted{.given = given};
    for (const std::string& field : record) TRY(SetMountField(wanted, field));
    if (wanted.source.empty() || wanted.destination.empty())
      return Fail(Code::kInvalidArgument, given, ": needs a source and a destination");
    mounts.push_back(TRY(MountOf(std::move(wanted), files)));
  }
  if (mounts.empty()) return Fail(Code::kInvalidArgument, given, ": needs a source and a destination");
  return mounts;
}

}  // namespace slipway
