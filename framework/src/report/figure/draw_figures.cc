#include "report/figure/draw_figures.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <regex>

#include "base/files/durable_file.h"
#include "base/files/scratch_folder.h"
#include "bitlaw/base/error.h"
#include "report/figure/gnuplot_script.h"
#include "report/figure/svg_themes.h"

extern char** environ;

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

// "" if the program ended well.
std::string RunIn(const fs::path& folder, const std::string& program) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "errors.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::string name = program, defaults = "-d", script = "script.gp";
  char* arguments[] = {name.data(), defaults.data(), script.data(), nullptr};
  pid_t child = 0;
  const int failed = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT) {
    return fmt::format("the program '{}' is not installed. Install it (Debian and Ubuntu: apt install gnuplot-nox) and "
                       "run 'bitlaw report' again", program);
  }
  if (failed != 0) return fmt::format("the program '{}' cannot be started: {}", program, std::strerror(failed));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  std::string said;
  std::error_code ignored;
  if (fs::is_regular_file(folder / "errors.txt", ignored)) said = ReadWholeFile(folder / "errors.txt");
  for (char& c : said) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  constexpr size_t kShown = 300;
  if (said.size() > kShown) said = said.substr(said.size() - kShown);
  return fmt::format("the program '{}' ended with {} {}: {}", program, WIFEXITED(status) ? "exit code" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), said);
}

// The date of a PDF, of the same length.
std::string WithoutDate(const std::string& pdf) {
  static const std::regex date(R"(\(D:\d{14})");
  return std::regex_replace(pdf, date, "(D:20000101000000");
}

}  // namespace

DrawnFigures DrawFigures(std::span<const Figure> figures, const std::string& program) {
  DrawnFigures drawn;
  if (figures.empty()) return drawn;
  try {
    const ScratchFolder folder("figures");
    std::string script = "set encoding utf8\n";
    for (const Figure& figure : figures) script += GnuplotScript(figure);
    WriteDurably(folder.path() / "script.gp", script);
    drawn.why_none = RunIn(folder.path(), program);
    if (!drawn.why_none.empty()) return drawn;
    std::vector<std::string> missing;
    for (const Figure& figure : figures) {
      std::vector<std::string> names = {figure.name + ".svg", figure.name + ".pdf"};
      for (size_t p = 0; p < figure.panels.size(); ++p) names.push_back(fmt::format("{}.panel{}.svg", figure.name, p + 1));
      if (HasLegend(figure)) names.push_back(figure.name + ".legend.svg");
      for (const std::string& name : names) {
        std::error_code status;
        if (!fs::is_regular_file(folder.path() / name, status)) {
          missing.push_back(name);
          continue;
        }
        std::string bytes = ReadWholeFile(folder.path() / name);
        drawn.files[name] = name.ends_with(".svg") ? SvgForThemes(bytes, fs::path(name).stem().string(), figure.title)
                                                   : WithoutDate(bytes);
      }
    }
    if (!missing.empty())
      drawn.why_none = fmt::format("the program '{}' did not write {}; version 5.4 or later with the terminals svg and "
                                   "pdfcairo is needed", program, JoinNames(missing));
  } catch (const Error& error) {
    drawn.why_none = error.what();
    if (drawn.why_none.ends_with('.')) drawn.why_none.pop_back();
  }
  return drawn;
}

}  // namespace bitlaw
