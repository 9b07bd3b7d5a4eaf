// SPDX-License-Identifier: Apache-2.0
// NVIDIA's management library is the driver's own and may be away, older or newer than we know: it is opened
// by name, and each of its functions is looked for when it is called.
//
// For one thread at a time. What is called may never return; see nvml.h.
#pragma once

#include <dlfcn.h>

#include <string>

#include "base/text/text.h"

namespace slipway::nvml {

using Return = int;
using Device = void*;
inline constexpr Return kSuccess = 0;

struct Memory {
  unsigned long long total, free, used;
};

class Library {
 public:
  explicit Library(const std::string& name) : handle_(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    const char* why = handle_ == nullptr ? ::dlerror() : nullptr;
    if (handle_ == nullptr) why_not_ = why != nullptr ? why : name;
  }
  ~Library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  explicit operator bool() const { return handle_ != nullptr; }
  const std::string& why_not() const { return why_not_; }

  template <class... Args>
  Return Call(const char* name, Args... args) const {
    auto* function = reinterpret_cast<Return (*)(Args...)>(::dlsym(handle_, name));
    constexpr Return kFunctionNotFound = 13;
    return function == nullptr ? kFunctionNotFound : function(args...);
  }
  std::string ErrorText(Return code) const {
    auto* text = reinterpret_cast<const char* (*)(Return)>(::dlsym(handle_, "nvmlErrorString"));
    return text == nullptr ? Cat("error ", code) : Printable(text(code));
  }

 private:
  void* handle_;
  std::string why_not_;
};

}  // namespace slipway::nvml
