// SPDX-License-Identifier: Apache-2.0
// slipway sif …: the words and the order of arguments are those of `apptainer sif`.
#include "cli/images/declared/declared.h"

namespace slipway::cli {

namespace {
Positional File() { return {.name = "FILE", .arity = Positional::kOne, .complete = "file"}; }
Positional Id() {
  return {.name = "ID", .arity = Positional::kOne, .help = "as `slipway sif list` shows it"};
}
Option Json() { return {.name = "json", .help = "print one JSON object"}; }
Option Text(const char* name, const char* value_name, const char* help) {
  return {.name = name, .type = Option::kString, .value_name = value_name, .help = help};
}
}  // namespace

Command DeclareSifList() {
  return {.name = "slipway sif list",
          .summary = "list the objects in a SIF file",
          .examples = {{"slipway sif list mpi.sif", "one object a line"}},
          .options = {Json()},
          .positionals = {File()}};
}

Command DeclareSifHeader() {
  return {.name = "slipway sif header",
          .summary = "show a SIF file's header",
          .examples = {{"slipway sif header mpi.sif", ""}},
          .options = {Json()},
          .positionals = {File()}};
}

Command DeclareSifInfo() {
  return {.name = "slipway sif info",
          .summary = "show all that is said of one object",
          .examples = {{"slipway sif info 3 mpi.sif", ""}},
          .options = {Json()},
          .positionals = {Id(), File()}};
}

Command DeclareSifDump() {
  return {.name = "slipway sif dump",
          .summary = "write an object's bytes to stdout",
          .examples = {{"slipway sif dump 1 mpi.sif > mpi.def", "the recipe"},
                       {"slipway sif dump 3 mpi.sif > root.sqfs", "the root file system"}},
          .positionals = {Id(), File()}};
}

Command DeclareSifAdd() {
  return {
      .name = "slipway sif add",
      .summary = "add an object to a SIF file",
      .examples =
          {{"slipway sif add image.sif recipe.def --datatype deffile", ""},
           {"slipway sif add image.sif root.sqfs --datatype partition --parttype primsys --partfs squashfs "
            "--partarch amd64 --groupid 1",
            "numbers are taken, too, as Apptainer counts them"},
           {"slipway sif add image.sif bom.json --datatype sbom --sbomformat spdx-json --groupid 1", ""}},
      .options =
          {Text("datatype", "TYPE",
                "deffile, envvar, labels, partition, signature, genericjson, generic, cryptomessage, sbom, "
                "oci-rootindex or oci-blob"),
           Text("parttype", "TYPE", "of a partition: system, primsys, data or overlay"),
           Text("partfs", "TYPE",
                "of a partition: squashfs, ext3, archive, raw, encrypted-squashfs or gocryptfs-squashfs"),
           Text("partarch", "ARCH", "of a partition: amd64, arm64, ppc64le, …"),
           Text("signhash", "HASH", "of a signature: sha256, sha384, sha512"),
           Text("signentity", "FINGERPRINT", "of a signature: the key's 40 hex digits"),
           Text("sbomformat", "FORMAT", "of an SBOM: cyclonedx-json, spdx-json, syft-json, …"),
           Text("groupid", "N", "group; 0: none; default: 0, as Apptainer has it"),
           Text("link", "N", "id of the object that it belongs to"),
           Text("alignment", "BYTES", "default: 4096 for partitions, none for others"),
           Text("filename", "NAME", "the object's name; default: the file's"), Json()},
      .positionals = {File(),
                      {.name = "OBJECT",
                       .arity = Positional::kOne,
                       .help = "a file, or - for stdin",
                       .complete = "file"}}};
}

Command DeclareSifDel() {
  return {.name = "slipway sif del",
          .summary = "delete an object from a SIF file",
          .examples = {{"slipway sif del 4 image.sif", "its place in the table is free; the bytes stay"},
                       {"slipway sif del 4 --zero --compact image.sif", "nothing of it is left"}},
          .options = {{.name = "zero", .help = "overwrite its bytes with zeros"},
                      {.name = "compact", .help = "cut off what lies behind the last object"}},
          .positionals = {Id(), File()}};
}

Command DeclareSifNew() {
  return {.name = "slipway sif new",
          .summary = "make an empty SIF file",
          .examples = {{"slipway sif new data.sif", "then `slipway sif add`"}},
          .positionals = {File()}};
}

Command DeclareSifSetprim() {
  return {
      .name = "slipway sif setprim",
      .summary = "choose the partition that containers run from",
      .examples = {{"slipway sif setprim 5 image.sif", "a System partition, of another architecture say"}},
      .positionals = {Id(), File()}};
}

}  // namespace slipway::cli
