#include "fit/options/fit_options.h"

#include <cmath>
#include <type_traits>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"

namespace bitlaw {

std::string Name(ChanceRule rule) {
  switch (rule) {
    case ChanceRule::kLikelihood: return "likelihood";
    case ChanceRule::kExclude: return "exclude";
  }
  throw InternalError("ChanceRule out of range");
}

namespace {

std::vector<std::string> Texts(const Options& options, const std::string& name) {
  return options.Has(name) ? options.Strings(name) : std::vector<std::string>();
}

// The options, each with its key, flag, range, default and doc, and where its value goes.
class FitOptionList {
 public:
  FitOptionList();
  const std::vector<FitOption>& options() const { return options_; }
  const OptionSchema& schema() const { return schema_; }

 private:
  template <typename Read, typename Write>
  void AddBoth(const char* flag, const OptionField& field, Read read, Write write) {
    options_.push_back({field.name, flag, std::move(read), std::move(write)});
  }
  // A member whose value is the option's; `read` where it is not quite.
  template <typename T, typename Read>
  void Add(const char* flag, const OptionField& field, T FitSettings::* member, Read read) {
    AddBoth(
        flag, field,
        [name = field.name, member, read](const Options& options, FitSettings& settings) {
          settings.*member = read(options, name);
        },
        [member](const FitSettings& settings) {
          if constexpr (std::is_same_v<T, uint64_t>) {
            return Value(static_cast<int64_t>(settings.*member));
          } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
            return Value(Value::List((settings.*member).begin(), (settings.*member).end()));
          } else {
            return Value(settings.*member);
          }
        });
  }
  template <typename T>
  void Add(const char* flag, const OptionField& field, T FitSettings::* member) {
    Add(flag, field, member, [](const Options& options, const std::string& name) {
      if constexpr (std::is_same_v<T, bool>) {
        return options.Bool(name);
      } else if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(options.Int(name));
      } else if constexpr (std::is_floating_point_v<T>) {
        return options.Real(name);
      } else if constexpr (std::is_same_v<T, std::string>) {
        return options.String(name);
      } else {
        return Texts(options, name);
      }
    });
  }
  // Texts that are read here, so that what cannot be read is refused before anything is run.
  template <typename T>
  void AddParsed(const char* flag, const OptionField& field, std::vector<T> FitSettings::* member,
                 T (*parse)(const std::string&)) {
    AddBoth(
        flag, field,
        [name = field.name, member, parse](const Options& options, FitSettings& settings) {
          for (const std::string& text : Texts(options, name)) (settings.*member).push_back(parse(text));
        },
        [member](const FitSettings& settings) {
          Value::List texts;
          for (const T& one : settings.*member) texts.emplace_back(Text(one));
          return Value(std::move(texts));
        });
  }
  OptionField& List(const char* name) {
    OptionField text;
    text.type = OptionType::kString;
    return schema_.List(name, text).Optional();
  }

  OptionSchema schema_;
  std::vector<FitOption> options_;
};

std::string Unquoted(const Options& options, const std::string& name) { return UnquotedName(options.String(name)); }

std::vector<std::string> UnquotedTexts(const Options& options, const std::string& name) {
  std::vector<std::string> names;
  for (const std::string& text : Texts(options, name)) names.push_back(UnquotedName(text));
  return names;
}

int Folds(const Options& options, const std::string& name) {
  const auto folds = static_cast<int>(options.Int(name));
  if (folds != 1) return folds;
  const std::string place = options.Raw(name).mark().Text();
  throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") +
                                    "fit: 'k_fold' is 1, which leaves no row to fit. Use 0 for none, or 2 to 100.");
}

FitOptionList::FitOptionList() {
  using S = FitSettings;
  OptionSchema& s = schema_;
  AddBoth(
      "--chance-rule",
      s.Choice("chance_rule", {"likelihood", "exclude"})
          .Default("likelihood")
          .Doc("Rows with accuracy at or below chance: likelihood fits counts, which have room for them; exclude "
               "leaves them out and counts them."),
      [](const Options& options, S& settings) {
        settings.chance_rule =
            options.String("chance_rule") == "exclude" ? ChanceRule::kExclude : ChanceRule::kLikelihood;
      },
      [](const S& settings) { return Value(Name(settings.chance_rule)); });
  Add("--weights",
      s.String("weights").Default("").Doc(
          "Row weights, 1 / variance of the response: an expression over columns, or item_errors for standard errors."),
      &S::weights);
  Add("--starts", s.Int("random_starts").Range(0, 1000).Default(16).Doc("Random starts of an iterative fit."),
      &S::random_starts);
  Add("--seed", s.Int("seed").Min(0).Default(0).Doc("Seed of everything random."), &S::seed);
  Add("--no-nulls",
      s.Bool("nulls").Default(true).Doc(
          "Fit f(N), f(B), f(N,B) (each factor of scale and of precision alone, and all of them) and the loss against 16 "
          "bits beside every law."),
      &S::nulls);
  Add("--confidence", s.Real("confidence").Above(0).Below(1).Default(0.9).Doc("Level of all intervals."),
      &S::confidence);
  Add("--bootstrap", s.Int("bootstrap").Range(0, 1000000).Default(500).Doc("Bootstrap replicates; 0: none."),
      &S::bootstrap);
  Add("--unit",
      s.String("bootstrap_unit")
          .Default("auto")
          .Doc("What counts as independent, in every section: trials, items, or a column whose equal values belong "
               "together; auto: model where the table has such a column, else trials."),
      &S::bootstrap_unit, Unquoted);
  Add("--profile", s.Bool("profile").Default(false).Doc("Profile intervals of the parameters."), &S::profile);
  AddParsed("--derive", List("derived").Doc("Functions of the parameters with intervals: 'doubling = 2^alpha'."),
            &S::derived, &ParseDerived);
  Add("--folds", s.Int("k_fold").Range(0, 100).Default(5).Doc("Folds of the cross-validation; 0: none."), &S::k_fold,
      Folds);
  Add("--leave-one-out", s.Bool("leave_one_out").Default(false).Doc("Predict each row by a fit without it."),
      &S::leave_one_out);
  Add("--leave-out", List("leave_out").Doc("Columns whose values are left out one after the other: model."),
      &S::leave_out, UnquotedTexts);
  Add("--hold-out",
      List("hold_outs")
          .Doc("Conditions whose rows are predicted by a fit without them, beside the largest N and the lowest B "
               "(each factor of scale and of precision)."),
      &S::hold_outs);
  Add("--no-compare",
      s.Bool("compare").Default(true).Doc("Compare the laws with each other, and each with its own factors left out."),
      &S::compare);
  Add("--select",
      s.Bool("select").Default(false).Doc(
          "Choose among the laws by inner hold-outs and report the error of the chosen one on outer ones: the largest N, "
          "the lowest B (each factor of scale and of precision), the rows of hold_out."),
      &S::select);
  Add("--groups", s.String("groups").Default("").Doc("Column of a Chow test; empty: family, if it varies."), &S::groups,
      Unquoted);
  Add("--permutations",
      s.Int("permutations").Range(0, 1000000).Default(1000).Doc("Random groupings of the tasks into strata; 0: none."),
      &S::permutations);
  Add("--zone", List("zones").Doc(
          "Conditions, fitted apart: 'B == 2 and N < 2e9'; not given: the values of B (each factor of precision)."),
      &S::zones);
  Add("--by-task",
      s.Bool("average_tasks")
          .Default(true)
          .Doc("A row is a trial, with the mean over a stratum's tasks; false: each task."),
      &S::average_tasks);
  AddParsed("--control",
            List("controls")
                .Doc("What laws are cleared of, linear in OLS: a column, 'log_items = log(items)', or 'length: arc = "
                     "3, gsm8k = 140'."),
            &S::controls, &ParseControl);
  AddParsed("--strata",
            List("groupings")
                .Doc("Other strata of the tasks, fitted beside: 'by_format: choice = arc, boolq; free = gsm8k', or a "
                     "column; of the flag also a YAML file with such a map."),
            &S::groupings, &ParseGrouping);
  AddBoth(
      "--role",
      List("roles")
          .Doc("What columns are, where it is not known: 'P = precision'; scale, precision, granularity, calibration or "
               "other."),
      [](const Options& options, S& settings) {
        for (const std::string& text : Texts(options, "roles")) DeclareRole(text, settings.roles);
      },
      [](const S& settings) {
        const std::vector<std::string> texts = settings.roles.Texts();
        return Value(Value::List(texts.begin(), texts.end()));
      });
  // Its names are free, which no schema has with numbers: ReadFix() reads it.
  AddBoth(
      "--fix",
      s.GroupMap("fix", OptionSchema())
          .Optional()
          .Doc("Parameters held at a number in every law that has them, and tested: {alpha: 0.34}; of the flag "
               "alpha=0.34."),
      [](const Options&, S&) {},
      [](const S& settings) {
        Value fix = Value::Map{};
        for (const HeldValue& one : settings.fix) fix.Set(one.name, one.value);
        return fix;
      });
  Add("--threads",
      s.Int("threads").Range(0, 1024).Default(0).Doc("Threads; 0: one a core. Results are the same for any number."),
      &S::threads);
}

const FitOptionList& TheOptions() {
  static const FitOptionList list;
  return list;
}

// The entries of `fix`, which are numbers by free names.
std::vector<HeldValue> ReadFix(const Value& fix) {
  const auto refuse = [](const SourceMark& mark, const std::string& what) {
    const std::string place = mark.Text();
    throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "fit: " + what + " Write fix: {alpha: 0.34}.");
  };
  if (!fix.is_map()) refuse(fix.mark(), "'fix' is " + fix.Text() + ", not a map from parameters to numbers.");
  std::vector<HeldValue> held;
  for (const auto& [name, value] : fix.AsMap()) {
    if (!value.is_number() || !std::isfinite(value.AsReal()))
      refuse(value.mark(), "'fix." + name + "' is " + value.Text() + ", not a number.");
    held.push_back({name, value.AsReal(), value.key_mark().Text()});
  }
  return held;
}

}  // namespace

const std::vector<FitOption>& FitOptions() { return TheOptions().options(); }
const OptionSchema& FitSchema() { return TheOptions().schema(); }

FitSettings ReadFitSettings(const Value& given) {
  FitSettings settings;
  Value others = given;
  if (const Value* fix = given.is_map() ? given.Find("fix") : nullptr) {
    settings.fix = ReadFix(*fix);
    others.Set("fix", Value());
  }
  const Options options = FitSchema().Resolve(others, "fit");
  for (const FitOption& option : FitOptions()) option.read(options, settings);
  return settings;
}

}  // namespace bitlaw
