#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bitlaw {

/// Source files by their path below the top folder, with '/' between: {"framework/src/fit/estimate/law_fit.cc", text}.
using SourceTree = std::map<std::string, std::string>;

/// Every .h and .cc below framework/, plugins/ and examples/ of a source folder.
SourceTree ReadSources(const std::filesystem::path& top);

/// Every #include that breaks the rules of docs/architecture.md, one sentence each with file and line; empty if none
/// does.
///
///   base <- api <- sdk <- testing <- plugins; plugins include nothing of framework/src and nothing of each other.
///   src: plugin <- spec <- plan <- records <- quantize, evaluate <- run;  records <- fit <- report;  cli sees all.
///   fit: options <- table <- law <- data, box <- solve <- estimate <- refit <- examine <- output, study;
///   report leaves solve and refit alone.
///   Each third-party library has the home that the table in include_rules.cc gives it; a library that is not in the
///   table has none. What builds without libtorch does not reach it through any header either.
std::vector<std::string> IncludeFaults(const SourceTree& sources);

}  // namespace bitlaw
