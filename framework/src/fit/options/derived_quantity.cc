#include "fit/options/derived_quantity.h"

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {

DerivedQuantity ParseDerived(const std::string& text) {
  const auto sides = SplitAssignment(text);
  if (!sides) throw Error(ErrorKind::kSpec, "derived quantity '" + text + "' is not of the form name = expression.");
  Expression::Parse(sides->second);
  return {sides->first, sides->second};
}

std::string Text(const DerivedQuantity& derived) { return derived.name + " = " + derived.expression; }

}  // namespace bitlaw
