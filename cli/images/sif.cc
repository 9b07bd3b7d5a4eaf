// SPDX-License-Identifier: Apache-2.0
// slipway sif list, header, info, dump, new, del, setprim.
#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/sif_json.h"
#include "cli/images/subcommands.h"
#include "imagestore/sif/edit.h"
#include "imagestore/sif/show.h"

namespace slipway::cli {
namespace {

struct Opened {
  UniqueFd file;
  sif::Image image;
};

Result<Opened> OpenSif(const std::string& path) {
  UniqueFd file = TRY(Open(path, O_RDONLY | O_NONBLOCK));
  sif::Image image = TRY_CONTEXT(sif::Read(file.get()), path);
  return Opened{std::move(file), std::move(image)};
}

Result<std::uint32_t> IdOf(const std::string& text) {
  auto id = ParseNumber(text, 1, 0x0FFFFFFF);
  if (!id) return Fail(Code::kInvalidArgument, "'", text, "' is no object id; `slipway sif list` shows them");
  return static_cast<std::uint32_t>(*id);
}

Result<int> List(const Parsed& options) {
  Opened sif = TRY(OpenSif(options.positionals()[0]));
  Print(options.Has("json") ? SifJson(sif.image) : sif::ListText(sif.image));
  return 0;
}

Result<int> Header(const Parsed& options) {
  Opened sif = TRY(OpenSif(options.positionals()[0]));
  Print(options.Has("json") ? SifJson(sif.image) : sif::HeaderText(sif.image));
  return 0;
}

Result<int> Info(const Parsed& options) {
  const std::string& path = options.positionals()[1];
  Opened sif = TRY(OpenSif(path));
  auto object = TRY_CONTEXT(sif::FindObject(sif.image, TRY(IdOf(options.positionals()[0]))), path);
  Print(options.Has("json") ? SifObjectJson(object) : sif::InfoText(object));
  return 0;
}

Result<int> Dump(const Parsed& options) {
  const std::string& path = options.positionals()[1];
  Opened sif = TRY(OpenSif(path));
  auto object = TRY_CONTEXT(sif::FindObject(sif.image, TRY(IdOf(options.positionals()[0]))), path);
  std::string buffer(1 << 20, '\0');
  for (std::uint64_t done = 0; done < object.size; done += buffer.size()) {
    buffer.resize(std::min<std::uint64_t>(1 << 20, object.size - done));
    auto bytes = std::as_writable_bytes(std::span(buffer.data(), buffer.size()));
    TRY_CONTEXT(ReadExactlyAt(sif.file.get(), bytes, object.offset + done), path);
    Print(buffer);
  }
  return 0;
}

Result<int> New(const Parsed& options) {
  const std::string& path = options.positionals()[0];
  if (::access(path.c_str(), F_OK) == 0) return Fail(Code::kAlreadyExists, path, " is there already");
  auto writer = TRY(sif::Writer::Create(path, {.epoch = sif::SourceDateEpoch()}));
  TRY(writer.Commit());
  return 0;
}

Result<int> Del(const Parsed& options) {
  const std::string& path = options.positionals()[1];
  std::uint32_t id = TRY(IdOf(options.positionals()[0]));
  auto editor = TRY(sif::Editor::Open(path));
  auto old_bytes = options.Has("zero") ? sif::OldBytes::kZero : sif::OldBytes::kLeave;
  TRY_CONTEXT(editor.Delete(id, old_bytes, options.Has("compact")), path);
  return 0;
}

Result<int> Setprim(const Parsed& options) {
  const std::string& path = options.positionals()[1];
  std::uint32_t id = TRY(IdOf(options.positionals()[0]));
  auto editor = TRY(sif::Editor::Open(path));
  TRY_CONTEXT(editor.SetPrimary(id), path);
  return 0;
}

}  // namespace

const Subcommand kSifList{{"sif", "list"}, DeclareSifList, List},
    kSifHeader{{"sif", "header"}, DeclareSifHeader, Header}, kSifInfo{{"sif", "info"}, DeclareSifInfo, Info},
    kSifDump{{"sif", "dump"}, DeclareSifDump, Dump}, kSifNew{{"sif", "new"}, DeclareSifNew, New},
    kSifDel{{"sif", "del"}, DeclareSifDel, Del}, kSifSetprim{{"sif", "setprim"}, DeclareSifSetprim, Setprim};

}  // namespace slipway::cli
