#pragma once

#include <set>
#include <string>
#include <vector>

namespace bitlaw {

/// Why a text is no well-formed HTML or SVG as far as tags go: one that is not closed, closes another, or an id that stands
/// twice. "" if there is nothing. Knows the elements of HTML without an end tag, comments, declarations and <style>.
inline std::string ExplainMarkup(const std::string& text) {
  static const std::set<std::string> kVoid = {"meta", "link", "br", "hr", "img"};
  std::vector<std::string> open;
  std::set<std::string> ids;
  for (size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at)) {
    const size_t end = text.find('>', at);
    if (end == std::string::npos) return "a tag is not closed: " + text.substr(at, 40);
    const std::string tag = text.substr(at + 1, end - at - 1);
    at = end;
    if (tag.empty() || tag[0] == '!' || tag[0] == '?') continue;
    const bool is_end = tag[0] == '/';
    const size_t from = is_end ? 1 : 0;
    const std::string name = tag.substr(from, tag.find_first_of(" \n\t/", from) - from);
    if (is_end) {
      if (open.empty() || open.back() != name) return "</" + name + "> closes " + (open.empty() ? "nothing" : "<" + open.back() + ">");
      open.pop_back();
      continue;
    }
    for (const char quote : {'\'', '"'}) {
      const std::string begin = std::string(" id=") + quote;
      const size_t id = tag.find(begin);
      if (id == std::string::npos) continue;
      const std::string value = tag.substr(id + begin.size(), tag.find(quote, id + begin.size()) - id - begin.size());
      if (!ids.insert(value).second) return "the id '" + value + "' stands twice";
    }
    if (tag.back() == '/' || kVoid.contains(name)) continue;
    open.push_back(name);
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

}  // namespace bitlaw
