#include "cli/plugins/option_arguments.h"

#include <utility>

#include "bitlaw/base/error.h"
#include "spec/study_spec.h"

namespace bitlaw {

Value OptionsFromArguments(const std::vector<std::string>& arguments, const std::string& flag) {
  Value options(Value::Map{});
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw Error(ErrorKind::kSpec, flag + " " + argument + ": an option is given as KEY=VALUE, e.g. bits=3.");
    }
    const std::string key = argument.substr(0, equals);
    if (options.Find(key) != nullptr) throw Error(ErrorKind::kSpec, flag + " " + key + ": given twice. Give it once.");
    Value value = ParseYaml(argument.substr(equals + 1), flag + " " + key);
    if (value.is_null()) {
      throw Error(ErrorKind::kSpec,
                  flag + " " + argument + ": '" + key + "' has no value. Write one, or leave the option out.");
    }
    value.set_mark({});
    options.Set(key, std::move(value));
  }
  return options;
}

}  // namespace bitlaw
