#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace bitlaw {

/// Reads a tokenizer.json once. Vocabulary and merges, nearly all of the file, go into flat lists; the rest becomes a tree.
class TokenizerJsonReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Json = nlohmann::json;

  /// `offset` counts the bytes that the parser has taken.
  explicit TokenizerJsonReader(const size_t& offset) : offset_(offset) {}

  Json rest;
  std::vector<std::pair<std::string, int64_t>> vocabulary;
  std::vector<std::string> merges;                // "left right"
  std::vector<std::array<std::string, 2>> pairs;  // ["left", "right"]
  bool has_merges = false;
  std::string fault;

  bool null() override { return Scalar(nullptr); }
  bool boolean(bool value) override { return Scalar(value); }
  bool number_integer(number_integer_t value) override { return Integer(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return Integer(value > INT64_MAX ? INT64_MAX : static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return Scalar(value); }
  bool binary(binary_t&) override { return Fail("binary values are not JSON."); }
  bool string(string_t& value) override {
    if (where_ == Where::kMerges) {
      if (in_pair_) {
        if (pair_size_ >= 2) return Fail(MergeFault());
        pairs.back()[pair_size_++] = std::move(value);
      } else {
        merges.push_back(std::move(value));
      }
      return true;
    }
    return Scalar(std::move(value));
  }
  bool start_object(std::size_t) override {
    if (where_ == Where::kMerges) return Fail(MergeFault());
    if (where_ == Where::kVocabulary) return Fail(VocabularyFault());
    if (open_.size() == 2 && key_ == "vocab" && in_model_) {
      where_ = Where::kVocabulary;
      has_vocabulary_ = true;
      return true;
    }
    if (open_.size() == 1 && key_ == "model") in_model_ = true;
    return Open(Json::object());
  }
  bool end_object() override {
    if (where_ == Where::kVocabulary) {
      where_ = Where::kTree;
      return CheckVocabularyKeysDiffer();
    }
    open_.pop_back();
    if (open_.size() == 1) in_model_ = false;
    return true;
  }
  bool start_array(std::size_t) override {
    if (where_ == Where::kVocabulary) return Fail(VocabularyFault());
    if (where_ == Where::kMerges) {
      if (in_pair_) return Fail(MergeFault());
      in_pair_ = true;
      pair_size_ = 0;
      pairs.emplace_back();
      return true;
    }
    if (open_.size() == 2 && key_ == "merges" && in_model_) {
      where_ = Where::kMerges;
      has_merges = true;
      return true;
    }
    return Open(Json::array());
  }
  bool end_array() override {
    if (where_ == Where::kMerges) {
      if (in_pair_ && pair_size_ != 2) return Fail(MergeFault());
      if (!in_pair_) where_ = Where::kTree;
      in_pair_ = false;
      return true;
    }
    open_.pop_back();
    return true;
  }
  bool key(string_t& value) override {
    if (where_ == Where::kTree) {
      // Vocabulary and merges are not part of the tree.
      const bool is_aside = in_model_ && open_.size() == 2 &&
                            ((has_vocabulary_ && value == "vocab") || (has_merges && value == "merges"));
      if (is_aside || open_.back()->contains(value)) {
        return Fail("key '" + value + "' stands twice (byte " + std::to_string(offset_) + ").");
      }
    }
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return Fail("is not JSON from byte " + std::to_string(position) + " on. The file is cut off or damaged.");
  }

 private:
  enum class Where { kTree, kVocabulary, kMerges };

  bool Fail(const std::string& what) {
    if (fault.empty()) fault = what;
    return false;
  }
  std::string MergeFault() const {
    return "merge " + std::to_string(merges.size() + pairs.size() - (in_pair_ ? 1 : 0)) +
           " is neither 'left right' nor ['left', 'right'].";
  }
  bool CheckVocabularyKeysDiffer() {
    std::unordered_set<std::string_view> known;
    known.reserve(vocabulary.size());
    for (const auto& [text, id] : vocabulary) {
      if (known.insert(text).second) continue;
      return Fail("key '" + text + "' stands twice in model.vocab (which ends at byte " + std::to_string(offset_) +
                  ").");
    }
    return true;
  }
  std::string VocabularyFault() const { return "model.vocab['" + key_ + "'] is not an integer."; }

  bool Integer(int64_t value) {
    if (where_ != Where::kVocabulary) return Scalar(value);
    vocabulary.emplace_back(std::move(key_), value);
    return true;
  }
  bool Scalar(Json value) {
    if (where_ == Where::kVocabulary) return Fail(VocabularyFault());
    if (where_ == Where::kMerges) return Fail(MergeFault());
    Place(std::move(value));
    return true;
  }
  bool Open(Json value) {
    if (open_.size() >= 64) return Fail("is nested more than 64 deep.");
    open_.push_back(Place(std::move(value)));
    return true;
  }
  Json* Place(Json value) {
    if (open_.empty()) return &(rest = std::move(value));
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    return &((*open_.back())[key_] = std::move(value));
  }

  Where where_ = Where::kTree;
  std::vector<Json*> open_;  // Only the innermost container grows, so that pointers to the outer ones stay good.
  std::string key_;
  const size_t& offset_;
  bool in_model_ = false, in_pair_ = false, has_vocabulary_ = false;
  size_t pair_size_ = 0;
};

}  // namespace bitlaw
