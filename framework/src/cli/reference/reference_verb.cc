#include <memory>

#include "cli/common/output.h"
#include "cli/reference/reference_pages.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"

namespace bitlaw {
namespace {

std::vector<NamedLaw> KnownLaws(Session& session) {
  std::vector<NamedLaw> laws;
  for (const std::string& name : session.NamesOfFiles("laws")) {
    LawSpec spec = ReadLaw(name, session.plugins(), session.SearchFolders());
    std::unique_ptr<Law> law = OpenLaw(spec, session.plugins());
    laws.push_back({std::move(spec), std::move(law)});
  }
  return laws;
}

}  // namespace

void AddReferenceVerb(CLI::App& app, Session& session) {
  auto page = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "reference", "Print a page of the reference as Markdown: keys of a study, options of components, laws");
  verb->add_option("page", *page,
                   "study: every key of a study file; components: the options of every loaded component; laws: "
                   "formulas, columns and "
                   "parameters of the law files")
      ->required()
      ->check(OneOf({"study", "components", "laws"}));
  verb->callback([&session, page] {
    session.action = [&session, page] {
      Say(*page == "study"  ? StudyPage()
          : *page == "laws" ? LawPage(KnownLaws(session))
                            : ComponentPage(session.plugins()));
      return 0;
    };
  });
}

}  // namespace bitlaw
