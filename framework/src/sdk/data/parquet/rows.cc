#include "sdk/data/parquet/rows.h"

#include <algorithm>
#include <set>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "sdk/data/parquet/column.h"

namespace bitlaw {

namespace {

using Repetition = ParquetElement::Repetition;

constexpr int kMaxLevels = 64;
constexpr size_t kMaxLeaves = 10'000;
constexpr int64_t kMaxFileBytes = int64_t{4} << 30;

// A field of a row. Definition levels count what may be missing or repeated from the root down to here.
struct Node {
  enum class Kind { kLeaf, kGroup, kList };
  std::string name;
  Kind kind = Kind::kLeaf;
  int definition = 0;  // Of an entry in which this is there.
  bool is_optional = false;
  int element_definition = 0;  // Of a list: of an entry in which it has an element,
  int repetition = 0;          // and of an element after the first.
  size_t first_leaf = 0, end_leaf = 0;
  std::vector<Node> children;  // Of a list: its element.
};

// Makes the tree of the footer's list.
class SchemaReader {
 public:
  SchemaReader(const ParquetFooter& footer, const std::string& path) : elements_(footer.schema), path_(path) {}

  Node Read() {
    if (elements_.empty() || !elements_[0].is_group) Fail("has no schema. The file is damaged.");
    Node root;
    root.kind = Node::Kind::kGroup;
    ReadChildren(Next(), root, 0, 0, "");
    if (at_ != elements_.size()) Fail("has columns outside of its schema. The file is damaged.");
    return root;
  }

  std::vector<ParquetLeaf>& leaves() { return leaves_; }

 private:
  [[noreturn]] void Fail(const std::string& what) const { throw Error(ErrorKind::kIo, path_ + ": " + what); }

  const ParquetElement& Next() {
    if (at_ == elements_.size()) Fail("the schema ends too early. The file is damaged.");
    return elements_[at_++];
  }

  void ReadChildren(const ParquetElement& element, Node& node, int definition, int repetition,
                    const std::string& prefix) {
    if (element.children <= 0) Fail("column '" + prefix + "' is a struct without fields, which is not read.");
    node.first_leaf = leaves_.size();
    std::set<std::string> names;
    for (int64_t i = 0; i < element.children; ++i) {
      node.children.push_back(ReadNode(Next(), definition, repetition, prefix));
      const std::string& name = node.children.back().name;
      if (!names.insert(name).second)
        Fail("column '" + (prefix.empty() ? name : prefix + "." + name) + "' is there twice.");
    }
    node.end_leaf = leaves_.size();
  }

  // A field as it stands below a group; a repeated one is a list of itself.
  Node ReadNode(const ParquetElement& element, int definition, int repetition, const std::string& prefix) {
    const std::string name = prefix.empty() ? element.name : prefix + "." + element.name;
    if (definition > kMaxLevels)
      Fail("column '" + name + "' is nested deeper than " + std::to_string(kMaxLevels) + " levels.");
    if (element.repetition == Repetition::kRepeated) {
      return ListOf(ReadValue(element, definition + 1, repetition + 1, name), element.name, definition, repetition,
                    false);
    }
    const bool is_optional = element.repetition == Repetition::kOptional;
    Node node = ReadValue(element, definition + is_optional, repetition, name);
    node.is_optional = is_optional;
    return node;
  }

  static Node ListOf(Node element, const std::string& name, int definition, int repetition, bool is_optional) {
    Node list;
    list.name = name;
    list.kind = Node::Kind::kList;
    list.definition = definition;
    list.is_optional = is_optional;
    list.element_definition = definition + 1;
    list.repetition = repetition + 1;
    list.first_leaf = element.first_leaf;
    list.end_leaf = element.end_leaf;
    list.children.push_back(std::move(element));
    return list;
  }

  // What the element is where it is there.
  Node ReadValue(const ParquetElement& element, int definition, int repetition, const std::string& name) {
    Node node;
    node.name = element.name;
    node.definition = definition;
    if (!element.is_group) {
      if (leaves_.size() == kMaxLeaves)
        Fail("has more than " + std::to_string(kMaxLeaves) + " columns. That is the limit.");
      node.first_leaf = leaves_.size();
      node.end_leaf = node.first_leaf + 1;
      leaves_.push_back(
          {element.type, element.meaning, element.type_length, element.annotation, name, definition, repetition});
      return node;
    }
    if (++depth_ > kMaxLevels)
      Fail("column '" + name + "' is nested deeper than " + std::to_string(kMaxLevels) + " levels.");
    if (element.meaning == ParquetMeaning::kOther) {
      throw Error(ErrorKind::kUnsupported, path_ + ": column '" + name + "' is a " + element.annotation +
                                               ", which is not read. Make structs or lists of it.");
    }
    node.kind = Node::Kind::kGroup;
    if (element.is_list) {
      node = ReadList(element, definition, repetition, name);
    } else {
      ReadChildren(element, node, definition, repetition, name);
    }
    --depth_;
    return node;
  }

  Node ReadList(const ParquetElement& element, int definition, int repetition, const std::string& name) {
    const ParquetElement& repeated = Next();
    if (element.children != 1 || repeated.repetition != Repetition::kRepeated) {
      Fail("column '" + name + "' is a list without a repeated field. The file is damaged.");
    }
    // Two levels, as old writers have it: the repeated field is the element itself.
    const bool is_element = !repeated.is_group || repeated.children != 1 || repeated.is_list ||
                            repeated.name == "array" || repeated.name == element.name + "_tuple";
    Node inner = is_element ? ReadValue(repeated, definition + 1, repetition + 1, name)
                            : ReadNode(Next(), definition + 1, repetition + 1, name);
    return ListOf(std::move(inner), element.name, definition, repetition, false);
  }

  const std::vector<ParquetElement>& elements_;
  const std::string& path_;
  std::vector<ParquetLeaf> leaves_;
  size_t at_ = 0;
  int depth_ = 0;
};

// Puts the rows of one row group together.
class RowAssembler {
 public:
  RowAssembler(const std::vector<ParquetLeaf>& leaves, std::vector<ParquetColumn> columns, std::string where)
      : leaves_(leaves),
        columns_(std::move(columns)),
        where_(std::move(where)),
        entry_(leaves.size()),
        value_(leaves.size()) {}

  Value Row(const Node& root) {
    for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
      if (AtEnd(leaf)) Fail(leaf, "it has fewer rows than the row group.");
      if (Repetition(leaf) != 0) Fail(leaf, "a row begins within a list.");
    }
    return Read(root);
  }

  void RequireEnd() const {
    for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
      if (!AtEnd(leaf)) Fail(leaf, "it has more rows than the row group.");
    }
  }

 private:
  [[noreturn]] void Fail(size_t leaf, const std::string& what) const {
    throw Error(ErrorKind::kIo, where_ + ", column '" + leaves_[leaf].name + "': " + what + " The file is damaged.");
  }

  bool AtEnd(size_t leaf) const { return entry_[leaf] == columns_[leaf].definitions.size(); }
  int Definition(size_t leaf) const {
    if (AtEnd(leaf)) Fail(leaf, "it ends within a row.");
    return columns_[leaf].definitions[entry_[leaf]];
  }
  int Repetition(size_t leaf) const { return columns_[leaf].repetitions[entry_[leaf]]; }

  // Passes over the one entry that every leaf below `node` has where the node itself, or its elements, are missing.
  void PassOver(const Node& node, int definition) {
    for (size_t leaf = node.first_leaf; leaf < node.end_leaf; ++leaf) {
      if (Definition(leaf) != definition) Fail(leaf, "its levels and those of the fields beside it disagree.");
      ++entry_[leaf];
    }
  }

  Value Read(const Node& node) {
    const size_t first = node.first_leaf;
    const int definition = Definition(first);
    if (definition < node.definition) {
      if (!node.is_optional || definition != node.definition - 1) Fail(first, "a value is missing that cannot be.");
      PassOver(node, definition);
      return {};
    }
    if (node.kind == Node::Kind::kLeaf) {
      ++entry_[first];
      return std::move(columns_[first].values[value_[first]++]);
    }
    if (node.kind == Node::Kind::kGroup) {
      Value::Map map;
      for (const Node& child : node.children) map.emplace_back(child.name, Read(child));
      return map;
    }
    Value::List list;
    if (definition < node.element_definition) {
      PassOver(node, definition);
      return list;
    }
    do {
      list.push_back(Read(node.children[0]));
    } while (GoesOn(node));
    return list;
  }

  bool GoesOn(const Node& list) const {
    const auto goes_on = [&](size_t leaf) { return !AtEnd(leaf) && Repetition(leaf) == list.repetition; };
    const bool first = goes_on(list.first_leaf);
    for (size_t leaf = list.first_leaf + 1; leaf < list.end_leaf; ++leaf) {
      if (goes_on(leaf) != first) Fail(leaf, "its lists and those of the fields beside it have different lengths.");
    }
    return first;
  }

  const std::vector<ParquetLeaf>& leaves_;
  std::vector<ParquetColumn> columns_;
  std::string where_;
  std::vector<size_t> entry_, value_;
};

}  // namespace

std::vector<Value> ParseParquet(std::string_view bytes, const std::string& path) {
  const ParquetFooter footer = ReadParquetFooter(bytes, path);
  SchemaReader schema(footer, path);
  const Node root = schema.Read();
  const std::vector<ParquetLeaf>& leaves = schema.leaves();
  // A column of one value is a few bytes, however long. A whole file of such columns is none that anybody evaluates on.
  const auto size = static_cast<int64_t>(bytes.size());
  ParquetBudget budget{100'000 + 64 * size, std::min(kMaxFileBytes, (int64_t{64} << 20) + 1024 * size)};
  std::vector<Value> rows;
  for (size_t g = 0; g < footer.groups.size(); ++g) {
    const ParquetGroup& group = footer.groups[g];
    const std::string where = path + ": row group " + std::to_string(g);
    if (group.chunks.size() != leaves.size()) {
      throw Error(ErrorKind::kIo, where + ": has " + std::to_string(group.chunks.size()) +
                                      " columns, and the schema has " + std::to_string(leaves.size()) +
                                      ". The file is damaged.");
    }
    std::vector<ParquetColumn> columns;
    for (size_t i = 0; i < leaves.size(); ++i) {
      columns.push_back(
          ReadParquetColumn(bytes, group.chunks[i], leaves[i], where + ", column '" + leaves[i].name + "'", budget));
    }
    RowAssembler assembler(leaves, std::move(columns), where);
    for (int64_t r = 0; r < group.rows; ++r) {
      rows.push_back(assembler.Row(root));
      rows.back().set_mark({path, static_cast<int>(rows.size()), 1});
    }
    assembler.RequireEnd();
  }
  return rows;
}

std::vector<Value> ReadParquet(const std::filesystem::path& path) {
  return ParseParquet(ReadRegularFile(path, static_cast<uint64_t>(kMaxFileBytes)), path.string());
}

}  // namespace bitlaw
