// SPDX-License-Identifier: Apache-2.0
#include "base/text/text.h"
#include "cli/options/options.h"

namespace slipway::cli {
namespace {

std::string CommandWord(const std::string& program, const Command& command) {
  return command.name.starts_with(program + " ") ? command.name.substr(program.size() + 1) : command.name;
}

// The shell's words that complete a value of kind `complete` into COMPREPLY.
std::string Reply(const std::string& program, const std::string& complete) {
  if (complete == "file") return "COMPREPLY=($(compgen -f -- \"$cur\"))";
  if (complete == "dir") return "COMPREPLY=($(compgen -d -- \"$cur\"))";
  std::string words;
  if (complete.find('|') != std::string::npos) {
    words = Join(Split(complete, '|'), " ");
  } else {
    words = Cat("$(", program, " complete ", complete, " \"$cur\" 2>/dev/null)");
  }
  std::string reply = Cat("COMPREPLY=($(compgen -W \"", words, "\" -- \"$cur\"))");
  // An image is a name of the catalogue or a file.
  return complete == "image" ? reply + "; COMPREPLY+=($(compgen -f -- \"$cur\"))" : reply;
}

}  // namespace

std::string BashCompletion(const std::string& program, const std::vector<Command>& commands) {
  std::string function = "_" + program;
  for (char& c : function) {
    if (c == '-') c = '_';
  }
  std::string names;
  std::string cases;
  for (const Command& command : commands) {
    std::string word = CommandWord(program, command);
    names += Cat(names.empty() ? "" : " ", word);
    std::string options = "--help";
    std::string values;
    for (const Option& option : command.options) {
      if (option.hidden) continue;
      options += Cat(" --", option.name);
      if (option.value_name.empty() || option.type == Option::kMaybe) continue;
      std::string pattern =
          Cat("--", option.name, option.letter != 0 ? Cat("|-", option.letter) : std::string());
      values += Cat("        ", pattern, ") ",
                    option.complete.empty() ? std::string("COMPREPLY=()") : Reply(program, option.complete),
                    "; return ;;\n");
    }
    std::string rest = "COMPREPLY=($(compgen -f -- \"$cur\"))";
    if (!command.positionals.empty() && !command.positionals[0].complete.empty())
      rest = Reply(program, command.positionals[0].complete);
    cases += Cat("    '", word, "')\n");
    if (!values.empty()) cases += Cat("      case \"$prev\" in\n", values, "      esac\n");
    cases += Cat("      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"", options,
                 "\" -- \"$cur\")); else ", rest, "; fi ;;\n");
  }
  return Cat("# bash completion for ", program, "\n", function, "() {\n",
             "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n", "  COMPREPLY=()\n",
             "  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W \"", names,
             "\" -- \"$cur\")); return; fi\n", "  case \"${COMP_WORDS[1]}\" in\n", cases,
             "  esac\n}\ncomplete -o filenames -F ", function, " ", program, "\n");
}

}  // namespace slipway::cli
