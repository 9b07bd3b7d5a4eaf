// SPDX-License-Identifier: Apache-2.0
// Every command declares its options once; parsing, --help, the "did you mean" of an unknown one and shell
// completion come from that declaration. libc and base only: the front must start within a millisecond.
//
// Spellings: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -vvx for flags, "--" ends the options.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::cli {

struct Option {
  enum Type {
    kFlag,    // there or not; a second time changes nothing
    kCount,   // -vvv is 3
    kString,  // the last one wins
    kList,    // every one counts, in order
  };
  std::string name;  // long, without dashes
  char letter = 0;   // short; 0: none
  Type type = kFlag;
  std::string value_name;  // of kString and kList: "SRC[:DEST[:ro]]"
  std::string help;        // one sentence, no full stop
  // How a shell completes the value: "file", "dir", "image", "job", "node", "context", or the words
  // themselves
  // ("json|text"); empty: not at all.
  std::string complete;
  bool hidden = false;  // understood but not shown
  enum Foreign {
    kOwn,
    kNothing,  // what it asks for is so here anyway
    kWarn,     // the command goes on, and says that it changes nothing
    kRefuse,   // what it asks for cannot be had
  };
  Foreign foreign = kOwn;
  // Environment variables that say the same, without the prefix of a program: {"BIND", "BINDPATH"}. For a
  // flag 1, true, yes, on and 0, false, no, off or nothing.
  std::vector<std::string> variables;
};

struct Positional {
  enum Arity { kOne, kOptional, kMany /* none or more; last only */ };
  std::string name;  // as shown: "IMAGE"
  Arity arity = kOne;
  std::string help;
  std::string complete;  // as in Option
};

struct Example {
  std::string command, what;
};

struct Command {
  std::string name;     // "slipway exec"
  std::string summary;  // one line
  std::vector<Example> examples;
  std::vector<Option> options;  // --help/-h is added by the parser
  std::vector<Positional> positionals;
  // exec, run, launch: what follows the first positional is somebody else's command line and is not looked
  // at.
  bool stop_at_first_positional = false;
  std::string notes;  // below the options, as it is
};

class Parsed {
 public:
  bool help() const { return Has("help"); }
  bool Has(std::string_view name) const { return values_.contains(std::string(name)); }
  std::size_t Count(std::string_view name) const { return List(name).size(); }
  // The last value given, or `otherwise`.
  std::string Value(std::string_view name, std::string otherwise = {}) const;
  const std::vector<std::string>& List(std::string_view name) const;  // empty when not given
  const std::vector<std::string>& positionals() const { return positionals_; }

 private:
  friend Result<Parsed> ParseOptions(const Command&, const std::vector<std::string>&);
  friend Result<> TakeFromEnvironment(const Command&, const std::vector<std::string>&,
                                      const std::vector<std::string>&, Parsed&);
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positionals_;
};

// `arguments` without the command's own name. kInvalidArgument with one line that names the option and, where
// one is near, the one that may have been meant. When --help is among them, missing positionals are no error.
Result<Parsed> ParseOptions(const Command& command, const std::vector<std::string>& arguments);

// What the command line does not say, taken from `environment` (NAME=value): PREFIX_VARIABLE for each of
// `prefixes`, the first of them wins. Lists are added to those given, before them. kInvalidArgument names the
// variable.
Result<> TakeFromEnvironment(const Command& command, const std::vector<std::string>& prefixes,
                             const std::vector<std::string>& environment, Parsed& parsed);

// An option of another tool, taken so that its users' scripts go on here: never in silence where it matters.
struct ForeignOption {
  const char* name;
  char letter;  // 0: none
  Option::Type type;
  const char* variable;  // as in Option, one is enough; nullptr: none
  Option::Foreign foreign;
  const char* why;
};
std::vector<Option> HiddenOptions(std::span<const ForeignOption> foreign);
// A line for each that was given and is kWarn; kUnimplemented names the first that is kRefuse, and why.
Result<std::vector<std::string>> JudgeForeignOptions(const Command& command, const Parsed& parsed);

// Summary, examples first, usage, arguments, options, notes. `columns`: where to wrap.
std::string HelpText(const Command& command, std::size_t columns = 100);
// "usage: slipway exec [OPTION…] IMAGE COMMAND…"
std::string UsageLine(const Command& command);

// A bash completion function for `program` whose first argument is a command; each of `commands` is named
// "PROGRAM COMMAND". Words that only the running cluster knows (jobs, nodes, images) are asked of
// `PROGRAM complete KIND PREFIX`.
std::string BashCompletion(const std::string& program, const std::vector<Command>& commands);

}  // namespace slipway::cli
