// SPDX-License-Identifier: Apache-2.0
// The privileged programs and stepd must not carry a protobuf library, and what they read comes from users. A
// type that travels lists its fields once:
//
//   struct Bind { std::string source, target; bool read_only = false; };
//   void Fields(auto& archive, IsA<Bind> auto& v) { archive(v.source, v.target, v.read_only); }
//
// and Encode/Decode do the rest. Format: integers little-endian at their own width, bool and enum as their
// integer, string = u32 length + bytes, vector = u32 count + elements, optional = u8 + value, pair = both.
// Decoding is bounded by the bytes at hand (a count larger than the bytes left is refused before anything is
// allocated) and never reads past the end; trailing bytes are an error.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result/result.h"

namespace slipway {

// IsA<T>: T or const T, so that one Fields() serves reading and writing.
template <class V, class T>
concept IsA = std::same_as<std::remove_const_t<V>, T>;

class WireWriter {
 public:
  template <class... Ts>
  void operator()(const Ts&... values) {
    (Put(values), ...);
  }
  std::string Take() { return std::move(bytes_); }

 private:
  template <class T>
  requires std::is_integral_v<T>
  void Put(T value) {
    auto bits =
        static_cast<std::make_unsigned_t<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>>>(
            value);
    for (std::size_t i = 0; i < sizeof bits; ++i)
      bytes_.push_back(static_cast<char>((static_cast<std::uint64_t>(bits) >> (8 * i)) & 0xff));
  }
  template <class T>
  requires std::is_enum_v<T>
  void Put(T value) { Put(static_cast<std::underlying_type_t<T>>(value)); }
  void Put(const std::string& value) {
    Put(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
  }
  template <class T>
  void Put(const std::vector<T>& values) {
    Put(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) Put(value);
  }
  template <class T>
  void Put(const std::optional<T>& value) {
    Put(value.has_value());
    if (value) Put(*value);
  }
  template <class A, class B>
  void Put(const std::pair<A, B>& value) {
    Put(value.first);
    Put(value.second);
  }
  template <class T>
  requires std::is_class_v<T>
  void Put(const T& value) { Fields(*this, value); }
  std::string bytes_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : left_(bytes) {}
  template <class... Ts>
  void operator()(Ts&... values) {
    (Get(values), ...);
  }
  bool failed() const { return failed_; }
  std::size_t bytes_left() const { return left_.size(); }

 private:
  std::string_view Take(std::size_t n) {
    if (failed_ || n > left_.size()) {
      failed_ = true;
      return {};
    }
    std::string_view taken = left_.substr(0, n);
    left_.remove_prefix(n);
    return taken;
  }
  template <class T>
  requires std::is_integral_v<T>
  void Get(T& value) {
    std::string_view raw = Take(std::is_same_v<T, bool> ? 1 : sizeof(T));
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < raw.size(); ++i)
      bits |= static_cast<std::uint64_t>(static_cast<unsigned char>(raw[i])) << (8 * i);
    if (std::is_same_v<T, bool> && bits > 1) failed_ = true;
    value = static_cast<T>(bits);
  }
  template <class T>
  requires std::is_enum_v<T>
  void Get(T& value) {  // whether it is one of the enumerators is the caller's Validate to say
    std::underlying_type_t<T> number{};
    Get(number);
    value = static_cast<T>(number);
  }
  void Get(std::string& value) {
    std::uint32_t size = 0;
    Get(size);
    value = std::string(Take(size));
  }
  template <class T>
  void Get(std::vector<T>& values) {
    std::uint32_t count = 0;
    Get(count);
    values.clear();
    if (count > left_.size()) failed_ = true;  // every element takes at least one byte
    for (std::uint32_t i = 0; i < count && !failed_; ++i) {
      values.emplace_back();
      Get(values.back());
    }
  }
  template <class T>
  void Get(std::optional<T>& value) {
    bool there = false;
    Get(there);
    value.reset();
    if (there && !failed_) Get(value.emplace());
  }
  template <class A, class B>
  void Get(std::pair<A, B>& value) {
    Get(value.first);
    Get(value.second);
  }
  template <class T>
  requires std::is_class_v<T>
  void Get(T& value) {
    if (!failed_) Fields(*this, value);
  }
  std::string_view left_;
  bool failed_ = false;
};

template <class T>
std::string Encode(const T& value) {
  WireWriter writer;
  writer(value);
  return writer.Take();
}

// `what` names the type in the error: "launch spec: malformed".
template <class T>
Result<T> Decode(std::string_view bytes, std::string_view what) {
  WireReader reader(bytes);
  T value{};
  reader(value);
  if (reader.failed() || reader.bytes_left() != 0)
    return Fail(Code::kInvalidArgument, what, ": malformed (", bytes.size(), " bytes)");
  return value;
}

// A frame is a message with its kind in front: u16 kind + payload. One frame is one SEQPACKET message, or
// follows a u32 length on a byte stream (base/wire/stream.h).
template <class Kind, class T>
std::string EncodeFrame(Kind kind, const T& payload) {
  WireWriter writer;
  writer(static_cast<std::uint16_t>(kind), payload);
  return writer.Take();
}

template <class Kind>
struct Frame {
  Kind kind{};
  std::string_view payload;  // borrows the message
};
template <class Kind>
Result<Frame<Kind>> SplitFrame(std::string_view message) {
  if (message.size() < 2)
    return Fail(Code::kInvalidArgument, "a frame of ", message.size(), " bytes has no kind");
  auto low = static_cast<unsigned char>(message[0]);
  auto high = static_cast<unsigned char>(message[1]);
  return Frame<Kind>{static_cast<Kind>(low | high << 8), message.substr(2)};
}

}  // namespace slipway
