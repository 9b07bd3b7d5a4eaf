// SPDX-License-Identifier: Apache-2.0
// A host's tree for tests: text files, links, stand-ins for device nodes, and libraries that are ELF files
// with a dynamic section and nothing else.
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "hooks/host/elf_library.h"
#include "hooks/host/host_tree.h"

namespace slipway {

struct FakeLibrary {
  std::string soname;
  std::vector<std::string> needed;
  std::vector<std::pair<std::string, std::string>> versions;  // of symbols: {"libc.so.6", "GLIBC_2.34"}
  std::uint16_t machine = ThisElfMachine();
};

inline std::string ElfBytesOf(const FakeLibrary& library) {
  std::string strings(1, '\0');
  auto text = [&](const std::string& word) {
    auto at = static_cast<std::uint32_t>(strings.size());
    strings += word + '\0';
    return at;
  };
  std::vector<Elf64_Dyn> dynamic;
  auto tag = [&](std::int64_t name, std::uint64_t value) {
    dynamic.push_back({.d_tag = name, .d_un = {.d_val = value}});
  };
  if (!library.soname.empty()) tag(DT_SONAME, text(library.soname));
  for (const std::string& needed : library.needed) tag(DT_NEEDED, text(needed));
  std::string versions;
  for (std::size_t i = 0; i < library.versions.size(); ++i) {
    bool last = i + 1 == library.versions.size();
    Elf64_Verneed need{.vn_version = 1,
                       .vn_cnt = 1,
                       .vn_file = text(library.versions[i].first),
                       .vn_aux = sizeof(Elf64_Verneed),
                       .vn_next = last ? 0 : static_cast<Elf64_Word>(sizeof need + sizeof(Elf64_Vernaux))};
    Elf64_Vernaux version{.vna_name = text(library.versions[i].second)};
    versions.append(reinterpret_cast<const char*>(&need), sizeof need);
    versions.append(reinterpret_cast<const char*>(&version), sizeof version);
  }
  constexpr std::size_t kHead = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
  std::size_t room = (dynamic.size() + 5) * sizeof(Elf64_Dyn);
  if (!versions.empty()) {
    tag(DT_VERNEED, kHead + room);
    tag(DT_VERNEEDNUM, library.versions.size());
  }
  tag(DT_STRTAB, kHead + room + versions.size());
  tag(DT_STRSZ, strings.size());
  tag(DT_NULL, 0);
  std::size_t size = kHead + room + versions.size() + strings.size();
  Elf64_Ehdr header{.e_type = ET_DYN,
                    .e_machine = library.machine,
                    .e_version = EV_CURRENT,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_ehsize = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  Elf64_Phdr segments[] = {{.p_type = PT_LOAD, .p_filesz = size, .p_memsz = size},
                           {.p_type = PT_DYNAMIC,
                            .p_offset = kHead,
                            .p_vaddr = kHead,
                            .p_filesz = dynamic.size() * sizeof(Elf64_Dyn)}};
  std::string bytes(kHead + room, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, segments, sizeof segments);
  std::memcpy(bytes.data() + kHead, dynamic.data(), dynamic.size() * sizeof(Elf64_Dyn));
  return bytes + versions + strings;
}

class FakeHost {
 public:
  FakeHost() : root_(*MakeTempDirectory("/tmp", "slipway-host-")) {}
  ~FakeHost() { EXPECT_TRUE(RemoveTree(root_)); }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  void File(const std::string& path, const std::string& text = {}, unsigned mode = 0644) {
    Parents(path);
    auto fd = Open(root_ + path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    ASSERT_TRUE(fd && WriteAll(fd->get(), text)) << path;
  }
  void Files(const std::map<std::string, std::string>& files) {
    for (const auto& [path, text] : files) File(path, text);
  }
  void Devices(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) File(path);
  }
  void Link(const std::string& path, const std::string& target) {
    Parents(path);
    ::unlink((root_ + path).c_str());
    ASSERT_EQ(::symlink(target.c_str(), (root_ + path).c_str()), 0) << path;
  }
  void Library(const std::string& path, const FakeLibrary& library) { File(path, ElfBytesOf(library)); }
  void Remove(const std::string& path) {
    struct stat info {};
    ASSERT_EQ(::lstat((root_ + path).c_str(), &info), 0) << path;
    if (S_ISDIR(info.st_mode)) {
      ASSERT_TRUE(RemoveTree(root_ + path)) << path;
    } else {
      ASSERT_EQ(::unlink((root_ + path).c_str()), 0) << path;
    }
  }
  const std::string& root() const { return root_; }
  HostTree tree() const { return *HostTree::At(root_); }

 private:
  void Parents(const std::string& path) {
    ASSERT_TRUE(MakeDirectories(root_ + path.substr(0, path.rfind('/')))) << path;
  }
  std::string root_;
};

}  // namespace slipway
