#include "math/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "math/shared_work.h"

#ifdef BITLAW_HAS_ONEDNN
#include <dnnl.hpp>
#elif defined(BITLAW_HAS_TORCH_SGEMM)
#include <ATen/core/dispatch/Dispatcher.h>
// BLAS's, which libtorch has linked in and exports; column-major.
extern "C" void sgemm_(const char* transposed_a, const char* transposed_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);
#endif

namespace bitlaw {

#ifdef BITLAW_HAS_ONEDNN

namespace {

const dnnl::engine& Processor() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// The matrix where it lies: rows x columns of `matrix`, or of its transpose.
dnnl::memory View(const at::Tensor& matrix, dnnl::memory::data_type type, bool is_transposed) {
  const dnnl::memory::dims sizes{matrix.size(0), matrix.size(1)};
  const dnnl::memory::dims strides{matrix.stride(0), 1};
  const dnnl::memory::desc layout =
      is_transposed ? dnnl::memory::desc({sizes[1], sizes[0]}, type, dnnl::memory::dims{strides[1], strides[0]})
                    : dnnl::memory::desc(sizes, type, strides);
  return dnnl::memory(layout, Processor(), matrix.data_ptr());
}

void CheckDone(dnnl_status_t status, int64_t m, int64_t n, int64_t k) {
  if (status == dnnl_success) return;
  throw InternalError("oneDNN refuses a float32 product of " + std::to_string(m) + " x " + std::to_string(k) + " x " +
                      std::to_string(n) + " with status " + std::to_string(static_cast<int>(status)) + ".");
}

}  // namespace

bool HasFloat32Products() { return true; }

void MultiplyFloat32(bool transposed, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                     int64_t ldb, float* c, int64_t ldc, bool add) {
  CheckDone(dnnl_sgemm('N', transposed ? 'T' : 'N', m, n, k, 1.0F, a, lda, b, ldb, add ? 1.0F : 0.0F, c, ldc), m, n, k);
}

void AddTransposedFloat32(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
                          float* c, int64_t ldc) {
  CheckDone(dnnl_sgemm('T', 'N', m, n, k, 1.0F, a, lda, b, ldb, 1.0F, c, ldc), m, n, k);
}

bool HasBfloat16Products() {
  static const bool has = [] {
    const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
  }();
  return has;
}

void AddTransposedProduct(const at::Tensor& left, const at::Tensor& right, at::Tensor sums) {
  RECORD_FUNCTION("bitlaw::bfloat16_product", std::vector<c10::IValue>());
  using Type = dnnl::memory::data_type;
  try {
    const dnnl::memory a = View(left, Type::bf16, true);    // [M, K]
    const dnnl::memory b = View(right, Type::bf16, false);  // [K, N]
    const dnnl::memory c = View(sums, Type::f32, false);    // [M, N]
    dnnl::post_ops add;
    add.append_sum(1.0F);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(add);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc plan(Processor(), a.get_desc(), b.get_desc(), c.get_desc(), attributes);
#else
    const dnnl::matmul::desc shapes(a.get_desc(), b.get_desc(), c.get_desc());
    const dnnl::matmul::primitive_desc plan(shapes, attributes, Processor());
#endif
    const dnnl::matmul product(plan);
    dnnl::stream stream(Processor());
    product.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
  } catch (const dnnl::error& refusal) {
    throw InternalError(std::string("oneDNN says '") + refusal.what() + "' to a product of bfloat16 matrices.");
  }
}

#else

#ifdef BITLAW_HAS_TORCH_SGEMM

namespace {

// c [m, n] = a b, or c += a b. Rows here are columns there: c^T [n, m] = b^T a^T.
void Sgemm(bool a_transposed, bool b_transposed, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
           const float* b, int64_t ldb, float* c, int64_t ldc, bool add) {
  const auto size = [](int64_t value) {
    if (value <= std::numeric_limits<int>::max()) return static_cast<int>(value);
    throw InternalError("a float32 product with a dimension of " + std::to_string(value) +
                        " was asked of libtorch's BLAS.");
  };
  const int rows = size(m), columns = size(n), inner = size(k);
  const int a_stride = size(lda), b_stride = size(ldb), c_stride = size(ldc);
  const float one = 1.0F, kept = add ? 1.0F : 0.0F;
  sgemm_(b_transposed ? "T" : "N", a_transposed ? "T" : "N", &columns, &rows, &inner, &one, b, &b_stride, a, &a_stride,
         &kept, c, &c_stride);
}

}  // namespace

bool HasFloat32Products() { return true; }

void MultiplyFloat32(bool transposed, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                     int64_t ldb, float* c, int64_t ldc, bool add) {
  Sgemm(false, transposed, m, n, k, a, lda, b, ldb, c, ldc, add);
}

void AddTransposedFloat32(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
                          float* c, int64_t ldc) {
  Sgemm(true, false, m, n, k, a, lda, b, ldb, c, ldc, /*add=*/true);
}

#else

bool HasFloat32Products() { return false; }

void MultiplyFloat32(bool, int64_t, int64_t, int64_t, const float*, int64_t, const float*, int64_t, float*, int64_t,
                     bool) {
  throw InternalError("a float32 product was asked of a build that has neither oneDNN nor libtorch's BLAS.");
}

void AddTransposedFloat32(int64_t, int64_t, int64_t, const float*, int64_t, const float*, int64_t, float*, int64_t) {
  throw InternalError("a float32 product was asked of a build that has neither oneDNN nor libtorch's BLAS.");
}

#endif

bool HasBfloat16Products() { return false; }

void AddTransposedProduct(const at::Tensor&, const at::Tensor&, at::Tensor) {
  throw InternalError("a product of bfloat16 matrices was asked of oneDNN in a build without it.");
}

#endif

namespace {

// Of a product of many rows each thread multiplies whole slabs of them by itself: two threads inside oneDNN or a BLAS wait for
// each other, and lose up to a quarter of their speed (docs/benchmarks.md). A row's result is the same in any slab of
// 16 rows or more; where several threads share a product of 1,024 columns or more it is another.
constexpr int64_t kLeastSlabRows = 128, kMostSlabRows = 512, kLeastAloneRows = 16;

thread_local int g_rows_by_themselves = 0;

int64_t RowSlabs(int64_t rows) {
  const int64_t threads = at::get_num_threads();
  if (g_rows_by_themselves > 0) {
    return std::max({std::min(threads, rows / kLeastAloneRows), (rows + kMostSlabRows - 1) / kMostSlabRows,
                     int64_t{1}});
  }
  if (threads == 1 || rows < threads * kLeastSlabRows) return 1;
  return std::max(threads, (rows + kMostSlabRows - 1) / kMostSlabRows);
}

int64_t SlabStart(int64_t slab, int64_t slabs, int64_t rows) {
  return slab == slabs ? rows : slab * rows / slabs / 16 * 16;
}

// x W^T of contiguous float32 matrices.
at::Tensor Float32Product(const at::Tensor& x, const at::Tensor& weight) {
  if (g_rows_by_themselves > 0 && x.size(0) < kLeastAloneRows) {
    const at::Tensor filled = at::zeros({kLeastAloneRows, x.size(1)}, x.options());
    filled.narrow(0, 0, x.size(0)).copy_(x);
    return Float32Product(filled, weight).narrow(0, 0, x.size(0));
  }
  const int64_t rows = x.size(0), inner = x.size(1), columns = weight.size(0);
#ifdef BITLAW_HAS_TORCH_SGEMM
  // The oneDNN that PyTorch's wheels have linked in shows no function of its own, but an operation of libtorch calls
  // it. By its name, with values that carry their types: its C++ signature differs between versions.
  static const std::optional<c10::OperatorHandle> linear =
      at::globalContext().userEnabledMkldnn() && at::hasMKLDNN()
          ? c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""})
          : std::nullopt;
  if (linear && linear->schema().arguments().size() == 6) {
    const c10::List<std::optional<at::Scalar>> no_numbers;
    std::vector<c10::IValue> stack{x, weight, c10::IValue(), "none", no_numbers, c10::IValue()};
    linear->callBoxed(stack);
    return stack.back().toTensor();
  }
#endif
  at::Tensor product = at::empty({rows, columns}, x.options());
  const float *const from = x.data_ptr<float>(), *const by = weight.data_ptr<float>();
  float* const to = product.data_ptr<float>();
  const int64_t slabs = RowSlabs(rows);
  if (slabs == 1 && g_rows_by_themselves == 0) {
    MultiplyFloat32(true, rows, columns, inner, from, inner, by, inner, to, columns);
    return product;
  }
  ShareOut(slabs, [&](int64_t slab) {
    const int64_t first = SlabStart(slab, slabs, rows), count = SlabStart(slab + 1, slabs, rows) - first;
    MultiplyFloat32(true, count, columns, inner, from + first * inner, inner, by, inner, to + first * columns, columns);
  });
  return product;
}

// oneDNN cuts the rows of a bfloat16 product into equal tiles. Where their number has no fitting divisor it is slow: 32 * 59
// rows run at a tenth of the speed of 1,024, odd numbers at a half (docs/benchmarks.md). So whole slabs of rows go in
// one call, and the rest, filled up with zeros, in another.
constexpr int64_t kSlab = 512, kTile = 64;

void MultiplyInto(at::Tensor product, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (bias.defined()) {
    at::addmm_out(product, bias, x, weight.t());
  } else {
    at::mm_out(product, x, weight.t());
  }
}

at::Tensor Bfloat16Product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const int64_t rows = x.size(0), slabs = rows / kSlab * kSlab, rest = rows - slabs;
  at::Tensor product = at::empty({rows, weight.size(0)}, x.options());
  if (slabs > 0) MultiplyInto(product.narrow(0, 0, slabs), x.narrow(0, 0, slabs), weight, bias);
  if (rest == 0) return product;
  int64_t filled = (rest + kTile - 1) / kTile * kTile;
  if (filled == 5 * kTile) filled += kTile;
  const at::Tensor input = x.narrow(0, slabs, rest);
  if (rest < kTile / 2 || rest == filled) {
    MultiplyInto(product.narrow(0, slabs, rest), input, weight, bias);
    return product;
  }
  at::Tensor padded = at::empty({filled, x.size(1)}, x.options()), wide = at::empty({filled, weight.size(0)}, x.options());
  padded.narrow(0, 0, rest).copy_(input);
  padded.narrow(0, rest, filled - rest).zero_();
  MultiplyInto(wide, padded, weight, bias);
  product.narrow(0, slabs, rest).copy_(wide.narrow(0, 0, rest));
  return product;
}

}  // namespace

RowsByThemselves::RowsByThemselves() { ++g_rows_by_themselves; }
RowsByThemselves::~RowsByThemselves() { --g_rows_by_themselves; }

at::Tensor TimesTransposed(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto fits = [](const at::Tensor& m, at::ScalarType type) {
    return m.is_cpu() && m.scalar_type() == type && m.dim() == 2 && m.numel() > 0;
  };
  const auto both = [&](at::ScalarType type) {
    return fits(x, type) && fits(weight, type) && x.size(1) == weight.size(1);
  };
  if (both(at::kBFloat16)) return Bfloat16Product(x, weight, bias);
  if (!HasFloat32Products() || !both(at::kFloat)) {
    return bias.defined() ? at::addmm(bias, x, weight.t()) : at::mm(x, weight.t());
  }
  RECORD_FUNCTION("bitlaw::float32_product", std::vector<c10::IValue>());
  at::Tensor product = Float32Product(x.contiguous(), weight.contiguous());
  if (bias.defined()) product.add_(bias);
  return product;
}

}  // namespace bitlaw
