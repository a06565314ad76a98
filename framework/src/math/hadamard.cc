#include "math/hadamard.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitlaw {
namespace {

constexpr int64_t kLargestBase = 1024;

// The prime of which q is a power; 0 if q is none.
int64_t PrimeOf(int64_t q) {
  if (q < 2) return 0;
  int64_t p = 2;
  while (p * p <= q && q % p != 0) ++p;
  if (q % p != 0) return q;
  int64_t rest = q;
  while (rest % p == 0) rest /= p;
  return rest == 1 ? p : 0;
}

// A field of q = p^r elements: element e has the base-p digits of e as coefficients, the constant one first.
class Field {
 public:
  Field(int64_t q, int64_t p) : q_(q), p_(p) { FindCharacter(); }

  /// Q[a][b]: 1 where a - b is a square, -1 where it is none, 0 on the diagonal.
  int8_t Jacobsthal(int64_t a, int64_t b) const { return character_[static_cast<size_t>(Minus(a, b))]; }

 private:
  int64_t Minus(int64_t a, int64_t b) const {
    int64_t difference = 0;
    for (int64_t place = 1; place < q_; place *= p_, a /= p_, b /= p_)
      difference += (a % p_ - b % p_ + p_) % p_ * place;
    return difference;
  }

  // e times X, where X^r = the element `reduced`; r = 1: times `reduced`.
  int64_t TimesX(int64_t e, int64_t reduced) const {
    const int64_t top = q_ / p_, high = e / top;
    int64_t product = e % top * p_;
    int64_t sum = 0;
    for (int64_t place = 1; place < q_; place *= p_, product /= p_, reduced /= p_) {
      sum += (product % p_ + high * (reduced % p_)) % p_ * place;
    }
    return sum;
  }

  // Tries one X^r after the other until the powers of X are all q - 1 elements but 0: then its even powers are the
  // squares.
  void FindCharacter() {
    for (int64_t reduced = 1; reduced < q_; ++reduced) {
      character_.assign(static_cast<size_t>(q_), 0);
      int64_t power = 1, count = 0;
      while (power != 0 && character_[static_cast<size_t>(power)] == 0) {
        character_[static_cast<size_t>(power)] = count++ % 2 == 0 ? 1 : -1;
        power = TimesX(power, reduced);
      }
      if (count == q_ - 1) return;
    }
  }

  const int64_t q_, p_;
  std::vector<int8_t> character_;  // [q]
};

bool HasPaleyMatrix(int64_t k) {
  return k % 4 == 0 && (PrimeOf(k - 1) != 0 || (k / 2 % 4 == 2 && PrimeOf(k / 2 - 1) != 0));
}

// Runs of w numbers times H_2 (x) .. (x) H_2.
void MultiplyBySylvester(float* run, int64_t w) {
  for (int64_t half = 1; half < w; half *= 2) {
    for (int64_t first = 0; first < w; first += 2 * half) {
      float *left = run + first, *right = left + half;
      for (int64_t j = 0; j < half; ++j) {
        const float sum = left[j] + right[j], difference = left[j] - right[j];
        left[j] = sum;
        right[j] = difference;
      }
    }
  }
}

}  // namespace

std::vector<int8_t> PaleyMatrix(int64_t k) {
  if (k % 4 != 0) return {};
  std::vector<int8_t> h(static_cast<size_t>(k * k));
  const auto at = [&](int64_t row, int64_t column) -> int8_t& { return h[static_cast<size_t>(row * k + column)]; };
  if (const int64_t q = k - 1, p = PrimeOf(q); p != 0) {
    const Field field(q, p);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        at(i, j) = i == j || i == 0 ? 1 : j == 0 ? -1 : field.Jacobsthal(i - 1, j - 1);
      }
    }
    return h;
  }
  const int64_t q = k / 2 - 1, p = q % 4 == 1 ? PrimeOf(q) : 0;
  if (p == 0) return {};
  const Field field(q, p);
  for (int64_t i = 0; i <= q; ++i) {
    for (int64_t j = 0; j <= q; ++j) {
      const auto c = static_cast<int8_t>(i == j ? 1 : i == 0 || j == 0 ? 1 : field.Jacobsthal(i - 1, j - 1));
      at(2 * i, 2 * j) = c;
      at(2 * i, 2 * j + 1) = at(2 * i + 1, 2 * j) = i == j ? static_cast<int8_t>(-1) : c;
      at(2 * i + 1, 2 * j + 1) = static_cast<int8_t>(-c);
    }
  }
  return h;
}

int64_t HadamardBaseOf(int64_t n) {
  if (n < 1) return 0;
  int64_t k = n;
  while (k % 2 == 0) k /= 2;
  if (k == 1) return 1;
  for (; k <= std::min(n, kLargestBase); k *= 2) {
    if (n % k == 0 && HasPaleyMatrix(k)) return k;
  }
  return 0;
}

void MultiplyByHadamard(float* rows, int64_t count, int64_t n, int64_t k, const float* base, bool transposed) {
  const int64_t w = n / k;
  std::vector<float> mixed(k > 1 ? static_cast<size_t>(n) : 0);
  for (int64_t row = 0; row < count; ++row) {
    float* const x = rows + row * n;
    for (int64_t a = 0; a < k; ++a) MultiplyBySylvester(x + a * w, w);
    if (k == 1) continue;
    std::fill(mixed.begin(), mixed.end(), 0.0F);
    for (int64_t to = 0; to < k; ++to) {
      float* const out = mixed.data() + to * w;
      for (int64_t from = 0; from < k; ++from) {
        const float sign = transposed ? base[to * k + from] : base[from * k + to];
        const float* const in = x + from * w;
        for (int64_t j = 0; j < w; ++j) out[j] += sign * in[j];
      }
    }
    std::copy(mixed.begin(), mixed.end(), x);
  }
}

std::vector<at::Tensor> SylvesterFactors(int64_t w) {
  constexpr int64_t kLargest = 64;  // On a device a product with so small a matrix costs about what additions do.
  const at::Tensor two = at::tensor({1.0F, 1.0F, 1.0F, -1.0F}).view({2, 2});
  std::vector<at::Tensor> factors;
  while (w > 1) {
    at::Tensor factor = two;
    while (factor.size(0) < std::min(w, kLargest)) factor = at::kron(factor, two);
    w /= factor.size(0);
    factors.push_back(std::move(factor));
  }
  return factors;
}

at::Tensor TimesHadamard(const at::Tensor& rows, const at::Tensor& base, const std::vector<at::Tensor>& factors,
                         bool transposed) {
  const int64_t runs = rows.size(0), n = rows.size(1), k = base.defined() ? base.size(0) : 1;
  at::Tensor turned = rows.contiguous();
  int64_t before = runs * k, after = n / k;
  for (const at::Tensor& factor : factors) {
    const int64_t size = factor.size(0);
    after /= size;
    // Symmetric.
    turned = after == 1 ? at::mm(turned.view({before, size}), factor)
                        : at::matmul(factor, turned.view({before, size, after}));
    before *= size;
  }
  if (base.defined()) turned = at::matmul(transposed ? base : base.t(), turned.reshape({runs, k, n / k}));
  return turned.reshape({runs, n});
}

}  // namespace bitlaw
