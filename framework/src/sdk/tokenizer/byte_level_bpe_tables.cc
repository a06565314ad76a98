#include <algorithm>
#include <cstring>

#include "bitlaw/base/error.h"
#include "sdk/tokenizer/byte_level_bpe_parts.h"

namespace bitlaw {
namespace {

size_t HashOf(std::string_view bytes) {
  uint64_t hash = 0x9E3779B97F4A7C15ULL ^ bytes.size();
  const auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0xBF58476D1CE4E5B9ULL;
    hash ^= hash >> 31;
  };
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    mix(word);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
  mix(rest);
  return hash;
}

}  // namespace

void TokenTable::Reserve(size_t tokens) {
  spans_.reserve(tokens);
  buffer_.reserve(7 * tokens);
  size_t slots = 64;
  while (slots < 2 * tokens) slots *= 2;
  if (slots > slots_.size() && findable_ == 0) slots_.assign(slots, -1);
}

bool TokenTable::Add(int32_t id, std::string_view bytes, bool findable) {
  if (Has(id)) return false;
  if (static_cast<size_t>(id) >= spans_.size()) spans_.resize(id + 1, {-1, 0});
  spans_[id] = {static_cast<int64_t>(buffer_.size()), static_cast<int32_t>(bytes.size())};
  buffer_ += bytes;
  if (!findable) return true;
  if (2 * (findable_ + 1) > slots_.size()) Grow();
  size_t slot = HashOf(bytes) & (slots_.size() - 1);
  while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = id;
  ++findable_;
  return true;
}

void TokenTable::Grow() {
  std::vector<int32_t> old(std::max<size_t>(64, 2 * slots_.size()), -1);
  old.swap(slots_);
  for (const int32_t id : old) {
    if (id < 0) continue;
    size_t slot = HashOf(Bytes(id)) & (slots_.size() - 1);
    while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = id;
  }
}

int32_t TokenTable::Find(std::string_view bytes) const {
  if (slots_.empty()) return -1;
  for (size_t slot = HashOf(bytes) & (slots_.size() - 1); slots_[slot] >= 0; slot = (slot + 1) & (slots_.size() - 1)) {
    if (Bytes(slots_[slot]) == bytes) return slots_[slot];
  }
  return -1;
}

std::string_view TokenTable::Bytes(int32_t id) const {
  if (!Has(id)) return {};
  return std::string_view(buffer_).substr(spans_[id].first, spans_[id].second);
}

size_t MergeTable::Slot(uint64_t key) const {
  uint64_t hash = key * 0x9E3779B97F4A7C15ULL;
  hash ^= hash >> 32;
  size_t slot = hash & (entries_.size() - 1);
  while (entries_[slot].rank >= 0 && entries_[slot].key != key) slot = (slot + 1) & (entries_.size() - 1);
  return slot;
}

void MergeTable::Reserve(size_t merges) {
  size_t slots = 64;
  while (slots < 2 * merges) slots *= 2;
  if (used_ == 0) entries_.assign(slots, Entry{});
}

void MergeTable::Grow() {
  std::vector<Entry> old(std::max<size_t>(64, 2 * entries_.size()));
  old.swap(entries_);
  for (const Entry& entry : old) {
    if (entry.rank >= 0) entries_[Slot(entry.key)] = entry;
  }
}

void MergeTable::Set(int32_t left, int32_t right, int32_t rank, int32_t joined) {
  if (2 * (used_ + 1) > entries_.size()) Grow();
  Entry& entry = entries_[Slot(Key(left, right))];
  if (entry.rank < 0) ++used_;
  entry = {Key(left, right), rank, joined};
}

const MergeTable::Entry* MergeTable::Find(int32_t left, int32_t right) const {
  if (entries_.empty()) return nullptr;
  const Entry& entry = entries_[Slot(Key(left, right))];
  return entry.rank < 0 ? nullptr : &entry;
}

void AddedTokenFinder::Add(AddedToken token) {
  if (token.text.empty()) return;
  std::vector<int32_t>& bucket = by_first_byte_[static_cast<unsigned char>(token.text[0])];
  const auto shorter = [this](int32_t index, size_t length) { return tokens_[index].text.size() >= length; };
  bucket.insert(std::lower_bound(bucket.begin(), bucket.end(), token.text.size(), shorter),
                static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(std::move(token));
}

void AddedTokenFinder::Cut(std::string_view text, std::vector<std::pair<int32_t, std::string_view>>* stretches) const {
  stretches->clear();
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    const AddedToken* hit = nullptr;
    for (const int32_t index : by_first_byte_[static_cast<unsigned char>(text[at])]) {
      if (text.compare(at, tokens_[index].text.size(), tokens_[index].text) == 0) {
        hit = &tokens_[index];
        break;
      }
    }
    if (hit == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + hit->text.size();
    at = end;
    if (hit->single_word &&
        (EndsWithWordCharacter(text.substr(0, begin)) || BeginsWithWordCharacter(text.substr(end)))) {
      continue;
    }
    if (hit->strip_left) begin -= std::min(TrailingWhiteSpace(text.substr(0, begin)), begin - std::min(done, begin));
    if (hit->strip_right) end += LeadingWhiteSpace(text.substr(end));
    if (done < begin) stretches->push_back({-1, text.substr(done, begin - done)});
    stretches->push_back({hit->id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) stretches->push_back({-1, text.substr(done)});
}

bool WordCache::Get(std::string_view word, std::vector<int32_t>* ids) {
  if (word.size() > kLongestWord) return false;
  Shard& shard = shards_[HashOf(word) >> 40 & (kShards - 1)];
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.words.find(word);
  if (found == shard.words.end()) return false;
  ids->insert(ids->end(), found->second.begin(), found->second.end());
  return true;
}

void WordCache::Put(std::string_view word, const int32_t* ids, size_t count) {
  if (word.size() > kLongestWord) return;
  Shard& shard = shards_[HashOf(word) >> 40 & (kShards - 1)];
  const std::lock_guard<std::mutex> lock(shard.mutex);
  if (shard.words.size() >= kWordsPerShard) shard.words.clear();
  shard.words.emplace(std::string(word), std::vector<int32_t>(ids, ids + count));
}

}  // namespace bitlaw
