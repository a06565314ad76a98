#pragma once

/// Symbols are hidden by default in every bitlaw library and plugin; BITLAW_EXPORT marks the few that cross
/// a shared-library boundary. Exceptions and interface classes must carry it, or their type_info differs on
/// the two sides and a catch does not match.
#define BITLAW_EXPORT __attribute__((visibility("default")))
