#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace bitlaw {

/// What to say of a command line that `app` refused with `error`: the first word that is no verb or option of it, with
/// the closest one that there is; else which value is missing or wrong. Ends in a line feed.
///     bitlaw: 'chek' is no verb. Did you mean 'check'? 'bitlaw --help' lists them.
///     bitlaw plan: '--jsno' is no option of it. Did you mean '--json'? 'bitlaw plan --help' lists them.
///     bitlaw run: --threads = 'many' is not a whole number from 0 to 1024. 'bitlaw run --help' says more.
std::string ExplainRefusal(const CLI::App& app, const std::vector<std::string>& arguments, const CLI::ParseError& error);

}  // namespace bitlaw
