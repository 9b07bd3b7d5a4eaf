// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/program.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/os/fd.h"
#include "launcher/container/report.h"

namespace slipway {
namespace {

#if defined(__x86_64__)
constexpr unsigned kOurMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kOurMachine = EM_AARCH64;
#elif defined(__powerpc64__)
constexpr unsigned kOurMachine = EM_PPC64;
#elif defined(__riscv)
constexpr unsigned kOurMachine = EM_RISCV;
#elif defined(__s390x__)
constexpr unsigned kOurMachine = EM_S390;
#else
constexpr unsigned kOurMachine = EM_NONE;
#endif

std::string MachineName(unsigned machine) {
  switch (machine) {
    case EM_386:
      return "x86 (32 bit)";
    case EM_X86_64:
      return "x86_64";
    case EM_ARM:
      return "arm (32 bit)";
    case EM_AARCH64:
      return "aarch64";
    case EM_PPC64:
      return "ppc64";
    case EM_RISCV:
      return "riscv";
    case EM_S390:
      return "s390x";
    default:
      return Cat("machine ", machine);
  }
}

struct Opening {
  bool readable = false;
  std::string bytes;  // the file's first
};
Opening ReadOpening(const std::string& program) {
  Opening opening;
  auto fd = Open(program, O_RDONLY);
  if (!fd) return opening;
  std::array<char, 256> bytes;
  ssize_t n = ::read(fd->get(), bytes.data(), bytes.size());
  opening.readable = n >= 0;
  if (n > 0) opening.bytes.assign(bytes.data(), static_cast<std::size_t>(n));
  return opening;
}

bool IsElf(const std::string& bytes) { return bytes.size() >= 20 && bytes.starts_with(ELFMAG); }

unsigned MachineOf(const std::string& elf) {
  auto low = static_cast<unsigned char>(elf[18]), high = static_cast<unsigned char>(elf[19]);
  return elf[EI_DATA] == ELFDATA2MSB ? low << 8 | high : high << 8 | low;
}

std::string ScriptInterpreter(const std::string& bytes) {
  if (!bytes.starts_with("#!")) return {};
  auto first = bytes.find_first_not_of(" \t", 2);
  if (first == std::string::npos) return {};
  return bytes.substr(first, bytes.find_first_of(" \t\n", first) - first);
}

}  // namespace

Result<std::string> FindProgram(const std::string& name, std::string_view path) {
  auto check = [](const std::string& program) -> int {
    struct stat info {};
    if (::stat(program.c_str(), &info) < 0) return errno;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    return ::access(program.c_str(), X_OK) < 0 ? errno : 0;
  };
  bool seen_unusable = false;
  std::string unusable;
  auto remember = [&](int error, const std::string& program) {
    if (error == ENOENT || error == ENOTDIR) return;
    if (!seen_unusable) unusable = program;
    seen_unusable = true;
  };
  if (name.find('/') != std::string::npos) {
    int error = check(name);
    if (error == 0) return name;
    if (error == EISDIR) return Fail(Code::kPermissionDenied, name, ": is a directory");
    remember(error, name);
  } else {
    for (std::size_t start = 0; start <= path.size();) {
      auto end = path.find(':', start);
      if (end == std::string_view::npos) end = path.size();
      std::string_view folder = path.substr(start, end - start);
      std::string program = folder.empty() ? Cat("./", name) : Cat(folder, "/", name);
      int error = check(program);
      if (error == 0) return program;
      if (error != EISDIR) remember(error, program);
      start = end + 1;
    }
  }
  if (seen_unusable) return Fail(Code::kPermissionDenied, unusable, ": is not executable");
  if (name.find('/') != std::string::npos)
    return Fail(Code::kNotFound, name, ": no such file in the container");
  return Fail(Code::kNotFound, name, ": no such command in the container (PATH is ", path.substr(0, 512),
              ")");
}

Error ExecError(const std::string& program, int sys_errno) {
  Opening opening = ReadOpening(program);
  if (sys_errno == ENOENT) {
    std::string interpreter = ScriptInterpreter(opening.bytes);
    std::string what = interpreter.empty() ? "its loader (ld.so)" : Cat("its interpreter ", interpreter);
    return {Code::kFailedPrecondition, sys_errno, Cat(program, ": ", what, " is missing in the container")};
  }
  if (sys_errno == ENOEXEC && IsElf(opening.bytes) && kOurMachine != EM_NONE &&
      MachineOf(opening.bytes) != kOurMachine) {
    return {
        Code::kFailedPrecondition, sys_errno,
        Cat(program, ": exec format: it is for ", MachineName(MachineOf(opening.bytes)), ", this node is ",
            MachineName(kOurMachine), "; the image must be built for this architecture")};
  }
  Error error = ErrnoErrorOf(sys_errno, "cannot execute", program);
  error.code = Code::kPermissionDenied;
  return error;
}

int ExitCodeFor(const Error& error) {
  if (error.code == Code::kNotFound) return kExitNotFound;
  if (error.code == Code::kPermissionDenied || error.code == Code::kFailedPrecondition)
    return kExitCannotExecute;
  return kExitOurs;
}

}  // namespace slipway
